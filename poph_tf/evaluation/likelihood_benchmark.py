"""Log-likelihood on the piano-roll benchmarks: settings, runs, summary.

The unit is the field's: nats per step, summed over 88 pitches, averaged over all steps
of the split, the first of each piece included, whole pieces without resets. Published
tables print its negative, the log-likelihood; so do we. Everything is chosen on the
validation split; the test split is scored once, with the weights so chosen.
"""

import dataclasses
import glob
import json
import math
import os
import statistics

import tensorflow as tf

from poph_tf import config, models, provenance
from poph_tf.data import dataset, examples, piano_rolls
from poph_tf.evaluation import likelihood
from poph_tf.training.run_log import check_same_run, slices_of
from poph_tf.training.trainer import Trainer

# What a benchmark roll has: 88 pitches, play only, no bars, no styles.
# No harmony term either: its loss is no likelihood.
ROLL = {
    "min_pitch": piano_rolls.MIN_PITCH,
    "num_pitches": piano_rolls.NUM_PITCHES,
    "replay": False,
    "volume": False,
    "bar_positions": 0,
    "style_units": 0,
    "harmony_weight": 0.0,
}
# Small networks learn these data better, and on two cores sooner, than the published
# sizes do.
SMALL = {
    "num_time_units": 128,
    "num_pitch_units": 64,
    "input_dropout": 0.0,
}
# The state along time is where a network learns a small set of pieces by heart. Keras
# has a slower LSTM for it, with a product for each gate and never cuDNN's.
RECURRENT_DROPOUT = 0.25
FEW_STEPS = 50_000
# Steps of the roll that are learned from in an optimizer step, about.
BATCH_STEPS = 384
# Long enough for what a tune repeats; shorter pieces are read whole.
WINDOW = 192
MOST_WINDOWS = 32
LEAST_STEPS, MOST_STEPS = 600, 4000
VALIDATIONS = 20
# Steps of the roll that a validation scores, about; the end scores the whole split.
VALID_STEPS = 3840
LEAST_VALID_PIECES = 8
# The end of a run: which splits are scored, and how many pieces at once.
SCORED = ("valid", "test")
SCORED_AT_ONCE = 16


def training_for(split):
    """How networks are trained on a benchmark, from the size of its training split.

    One rule for all benchmarks: batches have some 330 to 440 steps of the roll (fewer
    where pieces have less than 12), whatever the length of pieces; as many optimizer
    steps are taken at most as `steps_for` says, and the learning rate falls along a
    cosine to their end. Weights are averaged over fifty steps or so; those that are
    best on the first pieces of the validation split, some 4,000 steps of them and eight
    pieces at least, are kept, and a run that has not got better for 8 of its 20
    validations stops.

    Args:
        split: examples.SplitInfo of the training split.

    Returns:
        TrainingConfig.
    """
    piece_steps = split.num_steps / split.num_pieces
    # Windows of cut pieces have between half of `WINDOW` and all of it.
    window_steps = min(piece_steps, 0.75 * WINDOW)
    return config.TrainingConfig(
        window_steps=WINDOW,
        batch_size=min(max(round(BATCH_STEPS / window_steps), 1), MOST_WINDOWS),
        epochs=1_000_000,
        max_steps=steps_for(split),
        optimizer="muon",
        learning_rate=0.025,
        schedule="cosine",
        warmup_steps=20,
        clip_norm=1.0,
        ema_decay=0.98,
        patience=8,
        validate_every=steps_for(split) // VALIDATIONS,
        max_valid_pieces=max(round(VALID_STEPS / piece_steps), LEAST_VALID_PIECES),
        checkpoint_minutes=10.0,
    )


def steps_for(split):
    """The more there is to learn from, the longer it is learned.

    Args:
        split: examples.SplitInfo of the training split.

    Returns:
        int, optimizer steps: 600 for up to 14,000 steps of the roll, five times as many
        for thirteen times as much (JSB Chorales and Nottingham), 4,000 at most.
    """
    hundreds = round(6 * (split.num_steps / 13_800) ** 0.63)
    return min(max(100 * hundreds, LEAST_STEPS), MOST_STEPS)


def dropout_for(split):
    """The less there is to learn from, the more is dropped.

    Args:
        split: examples.SplitInfo of the training split.

    Returns:
        float: 0.4 for ten thousand steps of the roll, 0.2 for a hundred thousand, to
        the next twentieth.
    """
    dropout = 0.56 - 0.18 * math.log10(max(split.num_steps / 1000, 1))
    return round(20 * min(max(dropout, 0.1), 0.5)) / 20


def plan(preset, split, overrides=(), training=()):
    """What a preset's network and training are on a benchmark.

    Args:
        preset: str.
        split: examples.SplitInfo of the training split.
        overrides, training: dicts of settings that replace the recipe's.

    Returns:
        (ModelConfig, TrainingConfig).
    """
    settings = training_for(split)
    steps = dict(training).get("max_steps") or settings.max_steps
    # A run that is made short warms up for a tenth of it at most.
    fitting = {
        "warmup_steps": min(settings.warmup_steps, steps // 10),
        "validate_every": max(steps // VALIDATIONS, 1),
    }
    settings = dataclasses.replace(settings, **(fitting | dict(training)))
    # Further back than a training window nothing is learned of a distance.
    reach = {"time_attention_steps": settings.window_steps}
    few = split.num_steps < FEW_STEPS
    dropout = {
        "dropout": dropout_for(split),
        "recurrent_dropout": RECURRENT_DROPOUT if few else 0.0,
    }
    model = ROLL | SMALL | dropout | reach | dict(overrides)
    return config.preset(preset, **model), settings


def run_seed(data_dir, run_dir, planned, seed, slices=1, splits=SCORED, report=print):
    """Trains one seed to its end, going on where it was, and scores it.

    Args:
        data_dir: str, records of a benchmark.
        run_dir: str, the run's own directory.
        planned: (ModelConfig, TrainingConfig), from `plan`.
        seed: int.
        slices: int, from `cores.prepare`; a run that goes on keeps its own. Each has
            dropout of its own, so that the same seed gives the same figures with as
            many slices only.
        splits: the names of those to score.
        report: called with lines of progress.

    Returns:
        dict: `seed`, the log-likelihood of each split by its name, `step`, `seconds` of
        training, `parameters`, `slices`, `commit`.

    Raises:
        InputError: If the directory has a run with other settings.
    """
    model_config, settings = planned
    settings = dataclasses.replace(settings, seed=seed)
    # A result that is there must be of these settings, too.
    every = [field.name for field in dataclasses.fields(settings)]
    check_same_run(run_dir, model_config, settings, fixed=every)
    result_path = os.path.join(run_dir, "result.json")
    if os.path.exists(result_path):
        with open(result_path, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = _train(data_dir, run_dir, (model_config, settings), slices, report)
    missing = [split for split in splits if split not in result]
    if missing:
        result |= score(data_dir, run_dir, slices, missing)
        provenance.write_json(result_path, result)
    # What was not asked for is not told, even if it is known.
    hidden = set(SCORED) - set(splits)
    return {name: value for name, value in result.items() if name not in hidden}


def _train(data_dir, run_dir, planned, slices, report):
    """Trains one seed; what `run_seed` tells of it before it is scored."""
    strategy = tf.distribute.get_strategy()
    slices = slices_of(run_dir) or slices
    trainer = Trainer(*planned, data_dir, run_dir, strategy, slices)
    outcome = trainer.run(report=report)
    return {
        "seed": planned[1].seed,
        "step": outcome["step"],
        "seconds": round(float(trainer.counters.seconds)),
        "parameters": trainer.model.count_params(),
        "slices": slices,
        # Of this seed; they may be trained by different commits.
        "commit": provenance.describe()["commit"],
    }


def score(data_dir, model_dir, slices=1, splits=SCORED):
    """Log-likelihood of splits by their names, nats per step."""
    model = models.load(model_dir)
    scorer = likelihood.Scorer(model, SCORED_AT_ONCE, window_steps=64, slices=slices)
    figures = {}
    for split in splits:
        _, paths = dataset.open_split(data_dir, split)
        sums = scorer.sums(dataset.read_pieces(paths))
        figures[split] = -sums["play_nats"] / sums["steps"]
    return figures


def marginal(data_dir):
    """Log-likelihood of the test split under the training split's marginal."""
    splits = {
        split: list(dataset.read_pieces(dataset.open_split(data_dir, split)[1]))
        for split in ("train", "test")
    }
    model_config = config.preset("biaxial", **ROLL)
    fitted = likelihood.Marginal(splits["train"], model_config)
    return -fitted.nats_per_step(splits["test"])


def sizes(data_dir):
    """Pieces and steps of each split, and the id of the data."""
    info = examples.read_info(data_dir)
    splits = {
        name: {"pieces": split.num_pieces, "steps": split.num_steps}
        for name, split in info.splits.items()
    }
    return {"id": info.id, "splits": splits}


def combine(dataset_name, preset, results, settings):
    """The JSON object of all seeds: best by validation, medians, settings."""
    medians = {
        f"median_{split}": statistics.median(result[split] for result in results)
        for split in SCORED
        if split in results[0]
    }
    return {
        "dataset": dataset_name,
        "preset": preset,
        "seeds": results,
        "best_by_valid": max(results, key=lambda result: result["valid"]),
        "settings": settings,
        "provenance": provenance.describe(),
    } | medians


def summarize(folder):
    """The table of the JSON files of a folder, as Markdown."""
    lines = [
        "| data set | model | parameters | steps | seeds | valid, median | "
        "test, median | test, best by valid | marginal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
        best = figures["best_by_valid"]
        cells = (
            figures["dataset"],
            figures["preset"],
            f"{best['parameters']:,}",
            f"{best['step']:,}",
            f"{len(figures['seeds'])}",
            _rounded(figures["median_valid"], 3),
            _rounded(figures.get("median_test"), 3),
            _rounded(best.get("test"), 3),
            _rounded(figures.get("marginal_test"), 2),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rounded(value, places):
    """A number for a table; a dash for one that is not known."""
    return "–" if value is None else f"{value:.{places}f}"
