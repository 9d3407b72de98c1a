"""Starts a model from the weights of another one, also with more or other styles.

Everything but the styles must be the same; `config_of` says what that is. The style
embedding has a row for each style: those that both models know are copied by name, new
ones start from the mean of the old, which is what the old model takes for no style in
particular.
"""

import dataclasses
import os

import numpy as np

from poph_tf.config import SINGLE_STYLE, ModelConfig
from poph_tf.errors import InputError
from poph_tf.models import polyphony_model

# What may differ; the rest decides the shapes or the meaning of weights.
FREE = (
    "preset",
    "styles",
    "style_shares",
    "harmony_weight",
    "minor_scale",
    "input_dropout",
    "dropout",
    "recurrent_dropout",
)


def config_of(init_from, model_dir, info, overrides):
    """The config of a run that starts from another model's weights.

    Args:
        init_from: str, as of `models.load`.
        model_dir: str, the run's own. If it has begun, its own config is taken: the
            other model may have gone, or have grown.
        info: DatasetInfo. Its new styles are added to those that the model knows.
        overrides: dict of field name to value.

    Returns:
        ModelConfig.
    """
    if os.path.exists(os.path.join(model_dir, polyphony_model.SETTINGS_FILE)):
        source = ModelConfig.from_dict(
            polyphony_model.read_settings(model_dir)["model"]
        )
    else:
        source = polyphony_model.read_config(init_from)
    known = () if source.styles == SINGLE_STYLE else source.styles
    return dataclasses.replace(source, **overrides).with_styles(info, known)


def begin(init_from, model_dir, begun, model, averages):
    """Puts the weights to start from into a new run; one that has begun has its own.

    Args:
        init_from: str, as asked for now; "" where it is left out.
        model_dir: str, the run's own.
        begun: bool. Whether the run has checkpoints.
        model: PolyphonyModel.
        averages: list of tf.Variable, of its trainable variables; may be empty.

    Returns:
        str, what the run began from, as of `TrainingConfig.init_from`.

    Raises:
        InputError: If another start is asked for, which would come too late.
    """
    if not begun:
        if init_from:
            start_from(model, polyphony_model.load(init_from))
            for average, v in zip(averages, model.trainable_variables, strict=False):
                average.assign(v.value)
        return init_from
    if not os.path.exists(os.path.join(model_dir, polyphony_model.SETTINGS_FILE)):
        return init_from
    began = polyphony_model.read_settings(model_dir)["training"].get("init_from", "")
    if init_from and init_from != began:
        raise InputError(
            f"{model_dir} holds a run that began from {began or 'new weights'}, not "
            f"from {init_from}; leave --init_from out, or give another --model_dir."
        )
    return began


def start_from(model, source):
    """Copies the weights of `source` into `model`.

    Args:
        model: PolyphonyModel, whose weights are replaced.
        source: PolyphonyModel.

    Returns:
        tuple of str, the styles that `source` does not know.

    Raises:
        InputError: If the models differ in more than their styles and losses.
    """
    _check_alike(model.config, source.config)
    there = {variable.path: variable for variable in source.trainable_variables}
    for variable in model.trainable_variables:
        value = there[variable.path].numpy()
        if model.network.style and variable is model.network.style.kernel:
            value = style_rows(value, source.config.styles, model.config.styles)
        variable.assign(value)
    if not model.config.style_units:
        return ()
    return tuple(s for s in model.config.styles if s not in source.config.styles)


def style_rows(rows, known, wanted):
    """Rows of a style embedding for another vocabulary.

    Args:
        rows: float [known styles, units].
        known: sequence of str, the styles of `rows`.
        wanted: sequence of str.

    Returns:
        float [wanted styles, units].
    """
    by_name = dict(zip(known, rows, strict=True))
    mean = np.mean(rows, axis=0)
    return np.stack([by_name.get(style, mean) for style in wanted])


def _check_alike(config, source):
    ours, theirs = config.to_dict(), source.to_dict()
    other = [k for k in ours if k not in FREE and ours[k] != theirs[k]]
    if other:
        raise InputError(
            "init_from needs a model of the same sizes: it has "
            + ", ".join(f"{k}={theirs[k]}" for k in other)
            + "; asked for are "
            + ", ".join(f"{k}={ours[k]}" for k in other)
            + ". Give its sizes with --set, or another model."
        )
