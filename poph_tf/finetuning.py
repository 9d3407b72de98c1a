"""Starts a model from the weights of another one, also with more or other styles.

Everything but the styles must be the same. The style embedding has a row for each
style: those that both models know are copied by name, new ones start from the mean of
the old, which is what the old model takes for no style in particular.
"""

import numpy as np

from poph_tf.errors import InputError

# What may differ; the rest decides the shapes or the meaning of weights.
FREE = (
    "preset",
    "styles",
    "style_shares",
    "harmony_weight",
    "minor_scale",
    "input_dropout",
    "dropout",
)


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
