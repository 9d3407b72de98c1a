"""Ablations: what attention, the harmony loss and the parts of `poph2` contribute.

Networks that differ in one idea learn the same data, for the same number of steps, from
the same seeds. They are compared by the negative log-likelihood of held-out steps in
nats, without the harmony loss (see `likelihood_part`), against epochs and against
seconds, and by what they compose. PopH's authors trained on one piece until the network
knew it by heart; here, that is a data set with one piece in all its splits.

Source: Anokhin and Nuzhin, PopH (2018), report that attention reaches DeepJ's loss in
72 epochs instead of 100, on one fugue.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf import config, models
from poph_tf.config import GenerationConfig, ModelConfig, TrainingConfig
from poph_tf.data import dataset, examples, matrices, writing
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood, results
from poph_tf.evaluation.runs import Run, Runner
from poph_tf.generation import engine
from poph_tf.models import losses
from poph_tf.training import metrics_file
from poph_tf.training.trainer import Trainer

# The preset of each network, and the settings in which it differs.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deepj": ("deepj", {}),
    "poph_no_harmony": ("poph", {"harmony_weight": 0.0}),
    "poph_no_attention": ("poph", {"pitch_attention": "none"}),
    "poph": ("poph", {}),
    "poph2": ("poph2", {}),
}
TRAINING = TrainingConfig(
    epochs=1_000_000,
    max_steps=600,
    validate_every=25,
    patience=0,
    optimizer="muon",
    learning_rate=0.02,
    schedule="cosine",
    clip_norm=1.0,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """What the networks learn.

    Attributes:
        name: for files and tables.
        data_dir: folder of records with the splits train and valid.
        training: settings of training that this case needs.
    """

    name: str
    data_dir: Path
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def one_piece(path: Path, work_dir: Path) -> Case:
    """The case of one music file that is learned by heart and scored on itself.

    Its records go into `work_dir`.
    """
    name = f"one-{path.stem}"
    data_dir = work_dir / name / "records"
    splits = dict.fromkeys(examples.SPLITS, [matrices.from_file(path)])
    writing.write(splits, "one piece", data_dir)
    # The piece is learned by heart, so it stays in its key.
    return Case(name, data_dir, {"min_transpose": 0, "max_transpose": 0})


def plan(
    case: Case,
    variant: str,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Run:
    """The run of a network of `VARIANTS` on a case.

    Args:
        case: the data.
        variant: name of the network.
        model: settings that replace those of all networks.
        training: settings that replace those of all trainings.

    Raises:
        InputError: If there is no such network.
    """
    if variant not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise InputError(f"variants must be among {known}; got {variant!r}.")
    preset, own = VARIANTS[variant]
    # The settings that make the variant come last.
    model_config = config.preset(preset, **{**(model or {}), **own})
    settings = dataclasses.replace(TRAINING, **{**(training or {}), **case.training})
    info = examples.read_info(case.data_dir)
    name = (case.name, variant)
    return Run(name, case.data_dir, model_config.with_data(info), settings)


def run(
    planned: Run, composed: GenerationConfig, runner: Runner, output_dir: Path
) -> dict[str, Any]:
    """Trains one network, or continues its training, and composes with it.

    Args:
        planned: the run, with its seed.
        composed: what the network composes, with the seed of the run.
        runner: executes the run.
        output_dir: where results are kept. An existing result is returned.

    Returns:
        The result, ready for JSON: settings, the `curve` of validations, figures of
        what was `composed`.

    Raises:
        InputError: If the existing result has other settings or data.
    """
    seed = planned.training.seed
    path = output_dir / f"{'-'.join(planned.name)}-seed-{seed}.json"
    runner.report(path.stem)
    wanted, size = planned.identity(), _size(composed)
    if path.exists():
        result = results.read(path)
        results.check_same(path, result | result["composed"], wanted | size)
        return result
    trainer = runner.train(planned)
    result = wanted | _figures(planned, runner, trainer)
    settings = dataclasses.replace(composed, seed=seed)
    music = compose(runner.directory(planned), settings)
    return results.write(path, result | {"composed": music})


def _size(composed: GenerationConfig) -> dict[str, int]:
    return {"num_pieces": composed.num_pieces, "num_bars": composed.num_bars}


def _figures(planned: Run, runner: Runner, trainer: Trainer) -> dict[str, Any]:
    validations = metrics_file.read(runner.directory(planned))
    weight, epoch_steps = planned.model.harmony_weight, trainer.steps_per_epoch
    return {
        "case": planned.name[0],
        "variant": planned.name[1],
        "seed": planned.training.seed,
        "parameters": trainer.model.count_params(),
        "steps_per_epoch": epoch_steps,
        "slices": trainer.slices,
        "curve": curve(validations, weight, epoch_steps),
    }


def curve(
    validations: Sequence[Mapping[str, Any]], harmony_weight: float, epoch_steps: int
) -> dict[str, list[float]]:
    """The validations of a run as lists by name.

    Args:
        validations: lines of `metrics.jsonl`.
        harmony_weight: weight of the harmony loss.
        epoch_steps: optimizer steps of an epoch.
    """
    valid = [v["valid"] for v in validations]
    return {
        "step": [v["step"] for v in validations],
        "epoch": [v["step"] / epoch_steps for v in validations],
        "seconds": [v["training_seconds"] for v in validations],
        "nats": [likelihood_part(figures, harmony_weight) for figures in valid],
        "train_nats": [
            likelihood_part(v["train"], harmony_weight) for v in validations
        ],
        "play_nats": [figures["play_nats_per_step"] for figures in valid],
        "harmony": [figures["harmony"] for figures in valid],
    }


def likelihood_part(figures: Mapping[str, float], harmony_weight: float) -> float:
    """A loss without its harmony term, so that all variants are measured alike."""
    return figures["loss"] - harmony_weight * figures["harmony"]


def compose(model_dir: Path, composed: GenerationConfig) -> dict[str, Any]:
    """Figures of what a trained network composes."""
    model = models.load(str(model_dir))
    pieces = engine.Engine(model).compose(composed)
    return _size(composed) | figures_of(pieces, model.config)


def figures_of(
    pieces: Sequence[Matrices], model_config: ModelConfig
) -> dict[str, float]:
    """Figures of pieces, composed or real.

    Args:
        pieces: the pieces.
        model_config: gives the pitches and the scales.

    Returns:
        `out_of_key_share`, `harmony` (harmony loss per step, 5/12 for silence) and
        `notes_per_step`.
    """
    low, scale = model_config.min_pitch, model_config.minor_scale
    play = np.concatenate([piece.play[:, model_config.pitches] for piece in pieces])
    play = play.astype(np.float32)
    loss = losses.harmony(tf.constant(play), low, scale)
    return {
        "out_of_key_share": likelihood.out_of_key_share(pieces, model_config),
        "harmony": float(tf.reduce_mean(loss)),
        "notes_per_step": float(play.sum(axis=-1).mean()),
    }


def real_figures(planned: Run) -> dict[str, float]:
    """The same figures for the validation pieces that a run reads."""
    pieces = dataset.read_split(planned.data_dir, "valid")
    return figures_of([piece.matrices for piece in pieces], planned.model)
