"""Log-likelihood on the piano-roll benchmarks: settings, runs, summary.

The unit is the field's: nats per step, summed over 88 pitches, averaged over all steps
of a split, the first step of each piece included; pieces are scored whole. Published
tables print its negative, the log-likelihood, and so does this module. All choices are
made on the validation split; the test split is scored once, with the chosen weights.
"""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poph_tf import config, files, models, provenance
from poph_tf.config import TrainingConfig
from poph_tf.data import dataset, examples, piano_rolls
from poph_tf.data.examples import SplitInfo
from poph_tf.evaluation import likelihood, results
from poph_tf.evaluation.results import number
from poph_tf.evaluation.runs import Run, Runner
from poph_tf.training.run_log import check_same_run

# A benchmark roll has 88 pitches, play only, no bars and no styles. There is no harmony
# loss: it is not a likelihood.
ROLL = {
    "min_pitch": piano_rolls.MIN_PITCH,
    "num_pitches": piano_rolls.NUM_PITCHES,
    "replay": False,
    "volume": False,
    "bar_positions": 0,
    "bars_left": False,
    "style_units": 0,
    "harmony_weight": 0.0,
}
# The chorales in sixteenths, four voices: a roll of the pitches that they sing. Like
# other models of this data, it does not know the length; the position in the bar is
# counted from the first step. Chosen on the validation split.
CHORALES = ROLL | {
    "min_pitch": 36,
    "num_pitches": 46,
    "bar_positions": 16,
    "look_ahead_units": 32,
    "dropout": 0.35,
}
CHORALES_TRAINING = {
    "window_steps": 256,
    "batch_size": 2,
    "max_steps": 2000,
    "learning_rate": 0.02,
}
# The voices to give, for figures of the others.
GIVEN = (("soprano",), ("soprano", "bass"))
# Small networks learn this data better than the published sizes, and faster on two
# cores.
SMALL = {"num_time_units": 128, "num_pitch_units": 64, "input_dropout": 0.0}
# Through the state along time, a network memorizes a small set of pieces. With this
# dropout, Keras uses a slower LSTM, with a product for each gate, and never cuDNN.
RECURRENT_DROPOUT = 0.25
FEW_STEPS = 50_000
# Approximate steps of the roll in an optimizer step.
BATCH_STEPS = 384
# Long enough for the repeats of a tune; shorter pieces are one window.
WINDOW = 192
MAX_WINDOWS = 32
MIN_STEPS, MAX_STEPS = 600, 4000
VALIDATIONS = 20
# Approximate steps of the roll in a validation; at the end the whole split is scored.
VALID_STEPS = 3840
MIN_VALID_PIECES = 8
# The splits that are scored at the end, and the pieces scored at once.
SCORED = ("valid", "test")
SCORED_AT_ONCE = 16


def training_for(split: SplitInfo) -> TrainingConfig:
    """The training settings of a benchmark, from the size of its training split.

    One rule for all benchmarks: batches have some 330 to 440 steps of the roll (fewer
    if pieces have less than 12), whatever the length of pieces. `steps_for` limits the
    optimizer steps, over which the learning rate falls along a cosine. Weights are
    averaged over about fifty steps. The weights that are best on the first pieces of
    the validation split (some 4,000 steps, at least eight pieces) are kept; a run ends
    after 8 of its 20 validations without improvement.

    Args:
        split: the training split.
    """
    piece_steps = split.num_steps / split.num_pieces
    # Windows of cut pieces have between half of `WINDOW` and all of it.
    window_steps = min(piece_steps, 0.75 * WINDOW)
    return TrainingConfig(
        window_steps=WINDOW,
        batch_size=min(max(round(BATCH_STEPS / window_steps), 1), MAX_WINDOWS),
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
        max_valid_pieces=max(round(VALID_STEPS / piece_steps), MIN_VALID_PIECES),
        checkpoint_minutes=10.0,
    )


def steps_for(split: SplitInfo) -> int:
    """Optimizer steps: more for a larger training split.

    600 for up to 14,000 steps of the roll, five times as many for thirteen times as
    much music (JSB Chorales and Nottingham), 4,000 at most.
    """
    hundreds = round(6 * (split.num_steps / 13_800) ** 0.63)
    return min(max(100 * hundreds, MIN_STEPS), MAX_STEPS)


def dropout_for(split: SplitInfo) -> float:
    """Dropout: more for a smaller training split.

    0.4 for ten thousand steps of the roll, 0.2 for a hundred thousand, rounded to the
    next twentieth.
    """
    dropout = 0.56 - 0.18 * math.log10(max(split.num_steps / 1000, 1))
    return round(20 * min(max(dropout, 0.1), 0.5)) / 20


def plan(
    name: tuple[str, str],
    preset: str,
    data_dir: Path,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Run:
    """The run of a preset on a benchmark.

    Args:
        name: the benchmark and the label of the result.
        preset: the network.
        data_dir: records of the benchmark.
        model: settings of the network that replace those of the recipe.
        training: settings of training that replace those of the recipe.
    """
    info = examples.read_info(data_dir)
    split = info.splits["train"]
    settings = training_for(split)
    if info.tracks:
        model = CHORALES | {"tracks": info.tracks} | dict(model)
        training = CHORALES_TRAINING | dict(training)
    steps = training.get("max_steps") or settings.max_steps
    # A shortened run warms up for at most a tenth of its steps.
    fitting = {
        "warmup_steps": min(settings.warmup_steps, steps // 10),
        "validate_every": max(steps // VALIDATIONS, 1),
    }
    settings = dataclasses.replace(settings, **{**fitting, **training})
    recipe = {
        **ROLL,
        **SMALL,
        "dropout": dropout_for(split),
        "recurrent_dropout": RECURRENT_DROPOUT if split.num_steps < FEW_STEPS else 0.0,
        # A network learns nothing about distances longer than a training window.
        "time_attention_steps": settings.window_steps,
    }
    return Run(name, data_dir, config.preset(preset, **{**recipe, **model}), settings)


def run(
    planned: Run, seeds: Iterable[int], runner: Runner, splits: Sequence[str] = SCORED
) -> dict[str, Any]:
    """Trains and scores all seeds of a run; returns the result of `combine`."""
    found = [run_seed(planned.with_seed(seed), runner, splits) for seed in seeds]
    return combine(planned, found)


def run_seed(
    planned: Run, runner: Runner, splits: Sequence[str] = SCORED
) -> dict[str, Any]:
    """Trains one seed to its end, or continues its training, and scores it.

    Args:
        planned: the run, with its seed.
        runner: executes the run.
        splits: the splits to score.

    Returns:
        `seed`, the log-likelihood of each split by its name, `step`, `seconds` of
        training, `parameters`, `slices`, `commit`.

    Raises:
        InputError: If the run's directory holds a run with other settings.
    """
    run_dir = runner.directory(planned)
    # An existing result must have these settings too.
    every = [field.name for field in dataclasses.fields(planned.training)]
    check_same_run(run_dir, planned.model, planned.training, fixed=every)
    path = run_dir / "result.json"
    result = results.read(path) if path.exists() else _train(planned, runner)
    if missing := [split for split in splits if split not in result]:
        result |= score(planned.data_dir, run_dir, runner.slices, missing)
        files.write_json(path, result)
    # Hold back the test split if it was not requested, even if it is known.
    hidden = set(SCORED) - set(splits)
    return {
        name: value
        for name, value in result.items()
        if name.partition("_given_")[0] not in hidden
    }


def _train(planned: Run, runner: Runner) -> dict[str, Any]:
    trainer = runner.train(planned)
    return {
        "seed": planned.training.seed,
        "step": int(trainer.counters.step),
        "seconds": round(float(trainer.counters.seconds)),
        "parameters": trainer.model.count_params(),
        "slices": trainer.slices,
        # Of this seed: seeds may be trained by different commits.
        "commit": provenance.describe()["commit"],
    }


def score(
    data_dir: Path, model_dir: Path, slices: int = 1, splits: Sequence[str] = SCORED
) -> dict[str, float]:
    """Log-likelihood of splits by their names, nats per step (and given voices)."""
    model = models.load(str(model_dir))
    scorer = likelihood.Scorer(model, SCORED_AT_ONCE, window_steps=64, slices=slices)
    figures = {}
    for split in splits:
        sums = scorer.sums(dataset.read_split(data_dir, split))
        figures[split] = -sums["play_nats"] / sums["steps"]
        for given in GIVEN if model.config.tracks else ():
            told = likelihood.Scorer(model, SCORED_AT_ONCE, 64, slices, given)
            sums = told.sums(dataset.read_split(data_dir, split))
            figures[f"{split}_given_{'_'.join(given)}"] = (
                -sums["play_nats"] / sums["steps"]
            )
    return figures


def marginal(data_dir: Path) -> float:
    """Log-likelihood of the test split under the training split's marginal."""
    train = dataset.read_split(data_dir, "train")
    roll = config.preset("biaxial", **ROLL, tracks=examples.read_info(data_dir).tracks)
    fitted = likelihood.Marginal(train, roll)
    return -fitted.nats_per_step(dataset.read_split(data_dir, "test"))


def sizes(data_dir: Path) -> dict[str, Any]:
    """Pieces and steps of each split, and the id of the data."""
    info = examples.read_info(data_dir)
    splits = {
        name: {"pieces": split.num_pieces, "steps": split.num_steps}
        for name, split in info.splits.items()
    }
    return {"id": info.id, "splits": splits}


def combine(planned: Run, seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of all seeds: the best by validation, medians, settings, the data."""
    scored = [split for split in SCORED if split in seeds[0]]
    result: dict[str, Any] = {
        "dataset": planned.name[0],
        "preset": planned.name[1],
        "seeds": seeds,
        "best_by_valid": max(seeds, key=lambda seed: seed["valid"]),
        "settings": planned.settings(),
        "data": sizes(planned.data_dir),
    }
    for name in seeds[0]:
        if name.partition("_given_")[0] in scored:
            result[f"median_{name}"] = statistics.median(seed[name] for seed in seeds)
    if "test" in scored:
        result["marginal_test"] = marginal(planned.data_dir)
    return result


def summarize(folder: Path) -> str:
    """The results of a folder as a Markdown table."""
    header = (
        "data set", "model", "parameters", "steps", "seeds", "valid, median",
        "test, median", "test, best by valid", "marginal",
    )  # fmt: skip
    rows = [
        (
            result["dataset"],
            result["preset"],
            number(result["best_by_valid"]["parameters"], ","),
            number(result["best_by_valid"]["step"], ","),
            len(result["seeds"]),
            number(result["median_valid"], ".3f"),
            number(result.get("median_test"), ".3f"),
            number(result["best_by_valid"].get("test"), ".3f"),
            number(result.get("marginal_test"), ".2f"),
        )
        for result in results.read_all(folder)
    ]
    return results.table(header, rows)
