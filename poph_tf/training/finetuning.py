"""Starts a model from another one's weights, even with other styles or tracks.

Everything but the styles, the tracks and the losses must be the same; `config_of` takes
it from the other model. With other tracks, weights whose shapes do not fit are newly
initialized. The style embedding has a row for each style: rows of styles that both
models know are copied by name; new ones start from the mean of the old rows, which the
old model reads as no particular style.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf import models
from poph_tf.config import SINGLE_STYLE, ModelConfig
from poph_tf.data.examples import DatasetInfo
from poph_tf.errors import InputError
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.training import run_log

# Settings that may differ; the others determine the shapes or the meaning of weights.
FREE = (
    "preset", "styles", "style_shares", "tracks", "voice_leading", "outer_voices",
    "key", "chords", "form", "harmony_weight", "minor_scale", "input_dropout",
    "dropout", "recurrent_dropout", "chord_temperature", "chord_min_probability",
)  # fmt: skip


def config_of(
    init_from: str,
    model_dir: str | pathlib.Path,
    info: DatasetInfo,
    overrides: Mapping[str, Any],
) -> ModelConfig:
    """The config of a run that starts from another model's weights.

    Args:
        init_from: as for `models.load`.
        model_dir: the run's own directory. Once the run has begun, its own config is
            used: the other model may be gone, or trained further.
        info: the data set; its new styles follow those that the model knows, its
            tracks replace those of a model with tracks.
        overrides: settings that replace the other model's.
    """
    settings = run_log.stored_settings(model_dir)
    own = ModelConfig.from_dict(settings["model"]) if settings else None
    source = own or models.read_config(init_from)
    known = () if source.styles == SINGLE_STYLE else source.styles
    if source.tracks and info.tracks and not own:
        source = dataclasses.replace(source, tracks=tuple(info.tracks))
    return dataclasses.replace(source, **overrides).with_data(info, known)


def begin(
    init_from: str,
    model_dir: pathlib.Path,
    begun: bool,
    model: PolyphonyModel,
    averages: Sequence[tf.Variable],
) -> str:
    """Gives a new run the weights to start from; a run that has begun keeps its own.

    Args:
        init_from: as requested now; "" if it was not.
        model_dir: the run's own directory.
        begun: whether the run has checkpoints.
        model: the model to train.
        averages: moving averages of its trainable variables; may be empty.

    Returns:
        What the run began from, as for `TrainingConfig.init_from`.

    Raises:
        InputError: If the run has begun from something else.
    """
    if not begun:
        if init_from:
            anew = start_from(model, models.load(init_from))
            if anew:
                print(f"Not copied, as they do not fit: {', '.join(anew)}.", flush=True)
            for average, v in zip(averages, model.trainable_variables, strict=False):
                average.assign(v.value)
        return init_from
    same = {"training": {"init_from": init_from}}
    settings = run_log.stored_settings(model_dir) or same
    began_from = settings["training"].get("init_from", "")
    if init_from and init_from != began_from:
        raise InputError(
            f"{model_dir} holds a run that began from {began_from or 'new weights'}, "
            f"not from {init_from}; leave --init_from out, or give another --model_dir."
        )
    return began_from


def start_from(model: PolyphonyModel, source: PolyphonyModel) -> list[str]:
    """Copies the weights of `source` into `model`.

    Returns:
        The names of weights that `source` lacks or has in another shape, because of
        other tracks; these are left unchanged.

    Raises:
        InputError: If the models differ in more than styles, tracks and losses.
    """
    _check_same_sizes(model.config, source.config)
    values = {v.path: v.numpy() for v in source.trainable_variables}
    anew = []
    for variable in model.trainable_variables:
        value = values.get(variable.path)
        if model.network.style and variable is model.network.style.kernel:
            value = style_rows(
                values[variable.path], source.config.styles, model.config.styles
            )
        if value is None or value.shape != tuple(variable.shape):
            anew.append(variable.path)
        else:
            variable.assign(value)
    return anew


def style_rows(
    rows: np.ndarray, known: Sequence[str], wanted: Sequence[str]
) -> np.ndarray:
    """Rows of a style embedding for another vocabulary.

    Args:
        rows: float [known styles, units].
        known: the styles of `rows`.
        wanted: the styles of the result.

    Returns:
        float [wanted styles, units].

    Example:
        >>> rows = np.array([[1.0, 2.0], [3.0, 6.0]])
        >>> style_rows(rows, ("bach", "mozart"), ("mozart", "new")).tolist()
        [[3.0, 6.0], [2.0, 4.0]]
    """
    mean = np.mean(rows, axis=0)
    by_name = dict(zip(known, rows, strict=True))
    return np.array([by_name.get(style, mean) for style in wanted])


def _check_same_sizes(config: ModelConfig, source: ModelConfig) -> None:
    wanted, found = config.to_dict(), source.to_dict()
    other = [k for k in wanted if k not in FREE and wanted[k] != found[k]]
    if other:
        raise InputError(
            f"init_from needs a model of the same sizes: it has "
            f"{run_log.pairs(found, other)}, not the requested "
            f"{run_log.pairs(wanted, other)}. Leave --preset out, give its "
            f"sizes with --set, or another model."
        )
