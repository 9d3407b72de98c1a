"""What a musician wishes for: the settings of a composition, checked.

Everything that can be wrong with a wish is found here, before a network is asked.
"""

import numpy as np

from poph_tf.errors import InputError


def style_schedule(text, config):
    """Reads a style that may change along the piece.

    Args:
        text: str: one style or mixture, or several, each from a bar on, separated by
            semicolons: `0: bach; 16: monteverdi`. (Commas separate as well where every
            part begins with a bar.)
        config: ModelConfig.

    Returns:
        list of (bar, float32 [styles]), by bar, the first at bar 0.

    Raises:
        InputError: See `style_vector`.
    """
    separator = ";" if ";" in text else ","
    parts = [part.partition(":") for part in text.split(separator)]
    by_bars = all(bar.strip().isdecimal() and style for bar, _, style in parts)
    # A style may be called 2004: without a semicolon its share is no style.
    mixture = separator == "," and all(b.strip() in config.styles for b, _, _ in parts)
    if mixture or not by_bars:
        return [(0, style_vector(text, config))]
    schedule = [
        (int(bar), style_vector(style.strip(), config)) for bar, _, style in parts
    ]
    schedule.sort(key=lambda part: part[0])
    if schedule[0][0] != 0:
        raise InputError(f"The styles must begin at bar 0, got {text!r}.")
    return schedule


def style_vector(text, config):
    """Reads a style or a mixture.

    Args:
        text: str, as in `GenerationConfig.style`.
        config: ModelConfig.

    Returns:
        float32 [styles], adding up to 1.

    Raises:
        InputError: If a style is not in the vocabulary or a weight is no share.
    """
    if not text.strip():
        shares = np.array(config.style_shares, np.float32)
        return shares / shares.sum()
    vector = np.zeros(len(config.styles), np.float32)
    for part in text.split(","):
        name, colon, weight = part.strip().partition(":")
        if name not in config.styles:
            raise InputError(
                f"The model knows no style {name!r}; it knows "
                f"{', '.join(config.styles)}."
            )
        vector[config.styles.index(name)] += _weight(weight, part) if colon else 1.0
    if vector.sum() <= 0:
        raise InputError(f"The weights of style={text!r} must add up to more than 0.")
    return vector / vector.sum()


def _weight(text, part):
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise InputError(f"A style's weight must be a number from 0 up, got {part!r}.")
    return weight
