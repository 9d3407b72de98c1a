"""Ablations: what attention, the harmony term and the ideas of `poph2` are worth.

Networks that differ in one idea are trained on the same data, for as many steps, from
the same seeds. What is compared is the negative log-likelihood of held-out steps, in
nats, with the harmony term not counted (see `likelihood_part`), against epochs and
against seconds; and what the networks compose. The case of PopH's authors, who took
one piece and let the network learn it by heart, is a data set whose splits are all
that piece.

Source: Anokhin and Nuzhin, PopH (2018), whose report has attention reach DeepJ's loss
in 72 epochs instead of 100, on one fugue.
"""

import dataclasses
import json
import os

import numpy as np
import tensorflow as tf

from poph_tf import config, models, provenance
from poph_tf.config import GenerationConfig
from poph_tf.data import dataset, examples, matrices, writing
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood
from poph_tf.generation import engine
from poph_tf.models import losses
from poph_tf.training import metrics_file
from poph_tf.training.run_log import slices_of
from poph_tf.training.trainer import Trainer

# What each network is: a preset, and what differs from it.
VARIANTS = {
    "deepj": ("deepj", {}),
    "poph_no_harmony": ("poph", {"harmony_weight": 0.0}),
    "poph_no_attention": ("poph", {"pitch_attention": "none"}),
    "poph": ("poph", {}),
    "poph2": ("poph2", {}),
}
TRAINING = config.TrainingConfig(
    epochs=1_000_000,
    max_steps=600,
    validate_every=25,
    patience=0,
    optimizer="muon",
    learning_rate=0.02,
    schedule="cosine",
    clip_norm=1.0,
)
OVERFIT_STYLE = "one piece"
# To learn one piece by heart it has to stay in its key.
OVERFIT = {"min_transpose": 0, "max_transpose": 0}


@dataclasses.dataclass(frozen=True)
class Case:
    """What the networks are trained on.

    Args:
        name: str, for files and tables.
        data_dir: str, records with the splits train and valid.
        training: dict. Settings of training that this case needs.
    """

    name: str
    data_dir: str
    training: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Composing:
    """What each network composes after its training.

    Args:
        num_pieces, num_bars: int.
    """

    num_pieces: int = 8
    num_bars: int = 16


def one_piece(path, work_dir):
    """The case of a single movement, which is all that there is to learn and to score.

    Args:
        path: str, a music file.
        work_dir: str, where its records are kept.

    Returns:
        Case.
    """
    name = os.path.splitext(os.path.basename(path))[0]
    data_dir = os.path.join(work_dir, f"one-{name}", "records")
    piece = matrices.from_file(path)
    splits = {split: [piece] for split in ("train", "valid", "test")}
    writing.write(splits, OVERFIT_STYLE, data_dir)
    return Case(f"one-{name}", data_dir, OVERFIT)


def plan(case, variant, overrides=(), training=()):
    """What a variant's network and training are in a case.

    Args:
        case: Case.
        variant: str, one of `VARIANTS`.
        overrides: dict of ModelConfig settings, the same for all variants.
        training: dict of TrainingConfig settings, likewise.

    Returns:
        (ModelConfig, TrainingConfig).
    """
    preset, own = VARIANTS[variant]
    # What makes the variant comes last.
    model = config.preset(preset, **(dict(overrides) | own))
    model = model.with_styles(examples.read_info(case.data_dir))
    settings = dataclasses.replace(TRAINING, **(dict(training) | case.training))
    return model, settings


def run(case, variant, planned, seed, paths, composing, slices=1, report=print):
    """Trains one network, going on where it was, and has it compose.

    Args:
        case: Case.
        variant: str.
        planned: (ModelConfig, TrainingConfig), from `plan`.
        seed: int.
        paths: (run directory, path of the result). A result that is there is returned.
        composing: Composing.
        slices: int, from `cores.prepare`; a run that goes on keeps its own.
        report: called with lines of progress.

    Returns:
        dict, JSON-ready: `curve` of validations, `composed`, settings.

    Raises:
        InputError: If the result that is there is of other settings or data.
    """
    run_dir, result_path = paths
    model_config = planned[0]
    settings = dataclasses.replace(planned[1], seed=seed)
    asked = {
        "settings": {"model": model_config.to_dict(), "training": settings.to_dict()},
        "data_id": examples.read_info(case.data_dir).id,
    }
    if os.path.exists(result_path):
        return _read_result(result_path, asked, composing)
    slices = slices_of(run_dir) or slices
    strategy = tf.distribute.get_strategy()
    trainer = Trainer(model_config, settings, case.data_dir, run_dir, strategy, slices)
    trainer.run(report=report)
    validations = metrics_file.read(run_dir)
    result = {
        "case": case.name,
        "variant": variant,
        "seed": seed,
        "parameters": trainer.model.count_params(),
        "steps_per_epoch": trainer.steps_per_epoch,
        "slices": slices,
        "curve": curve(validations, model_config, trainer.steps_per_epoch),
        "composed": composed_figures(run_dir, seed, composing),
        "provenance": provenance.describe(),
    } | asked
    os.makedirs(os.path.dirname(result_path) or ".", exist_ok=True)
    provenance.write_json(result_path, result)
    return result


def _read_result(path, asked, composing):
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    theirs = {name: result.get(name) for name in asked}
    composed = dataclasses.asdict(composing)
    kept = {name: result["composed"][name] for name in composed}
    # As JSON has them: without tuples.
    if (theirs, kept) != (json.loads(json.dumps(asked)), composed):
        raise InputError(
            f"{path} is a result of other settings or data: delete it, or choose "
            f"another --output_dir."
        )
    return result


def curve(validations, model_config, steps_per_epoch):
    """The validations of a run, as lists by name.

    Args:
        validations: list of dict, the lines of `metrics.jsonl`.
        model_config: ModelConfig, for the weight of the harmony term.
        steps_per_epoch: int.
    """
    weight = model_config.harmony_weight
    return {
        "step": [v["step"] for v in validations],
        "epoch": [v["step"] / steps_per_epoch for v in validations],
        "seconds": [v["training_seconds"] for v in validations],
        "nats": [likelihood_part(v["valid"], weight) for v in validations],
        "train_nats": [likelihood_part(v["train"], weight) for v in validations],
        "play_nats": [v["valid"]["play_nats_per_step"] for v in validations],
        "harmony": [v["valid"]["harmony"] for v in validations],
    }


def likelihood_part(figures, harmony_weight):
    """A loss without its harmony term, so that all variants are counted alike."""
    return figures["loss"] - harmony_weight * figures["harmony"]


def composed_figures(model_dir, seed, composing):
    """What a trained network's own pieces are like."""
    model = models.load(model_dir)
    wishes = GenerationConfig(
        num_pieces=composing.num_pieces, num_bars=composing.num_bars, seed=seed
    )
    pieces = engine.Composer(model).compose(wishes)
    return dataclasses.asdict(composing) | figures_of(pieces, model.config)


def figures_of(pieces, model_config):
    """Figures of pieces, composed or real.

    Args:
        pieces: list of Matrices.
        model_config: ModelConfig, for the pitches and the scales.

    Returns:
        dict: `out_of_key_share`, `harmony` (the term of a step, 5/12 for silence),
        `notes_per_step`.
    """
    low = model_config.min_pitch
    pitches = slice(low, low + model_config.num_pitches)
    play = np.concatenate([piece.cells[:, pitches, 0] for piece in pieces])
    play = play.astype(np.float32)
    holders = [examples.Piece(piece, "", "", "") for piece in pieces]
    term = losses.harmony(tf.constant(play), low, model_config.minor_scale)
    return {
        "out_of_key_share": likelihood.out_of_key_share(holders, model_config),
        "harmony": float(tf.reduce_mean(term)),
        "notes_per_step": float(play.sum(axis=-1).mean()),
    }


def real_figures(case, model_config):
    """The same figures of the case's validation pieces."""
    _, paths = dataset.open_split(case.data_dir, "valid")
    pieces = [piece.matrices for piece in dataset.read_pieces(paths)]
    return figures_of(pieces, model_config)
