"""What a musician wishes for: the settings of a composition, checked.

Everything that can be wrong with a wish is found here, before a network is asked.
"""

import dataclasses

import numpy as np

from poph_tf import steering
from poph_tf.errors import InputError

STEPS_PER_BAR = 16  # of 4/4, where no primer says otherwise


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What to compose.

    Args:
        num_pieces: int.
        num_bars: int. New bars of each piece.
        temperature: float. Below 1 safer, above 1 bolder.
        replay_temperature: float. Of repeated notes; 0: as `temperature`.
        seed: int. The same seed, settings and build give the same pieces.
        style: str. A style's name, a mixture `bach:0.7,palestrina:0.3`, or either of
            them from a bar on, `0: bach; 16: palestrina`; "" for the shares of the
            training data.
        primer: Matrices to go on from, or None.
        keep_primer: bool. Whether the pieces begin with the primer.
        tempo_qpm: float. 0: the primer's, or 120.
        key: str, such as "Bb major"; "" for any.
        key_strength: float. Logits taken from every pitch outside the key.
        min_pitch, max_pitch: int. MIDI numbers of the range to draw in.
        density: float. Wanted mean of notes sounding at a time; 0: as it comes.
        cut: float. Notes less probable than this are not drawn.
        conservativity: float. Exponent of the probability: above 1 fewer notes.
    """

    num_pieces: int = 4
    num_bars: int = 32
    temperature: float = 1.0
    replay_temperature: float = 0.0
    seed: int = 0
    style: str = ""
    primer: object = None
    keep_primer: bool = True
    tempo_qpm: float = 0.0
    key: str = ""
    key_strength: float = 2.0
    min_pitch: int = 0
    max_pitch: int = 127
    density: float = 0.0
    cut: float = 0.0
    conservativity: float = 1.0

    def __post_init__(self):
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must be {low} to {high}, got {value}.")
        if self.min_pitch > self.max_pitch:
            raise InputError(
                f"min_pitch must not exceed max_pitch, got {self.min_pitch} and "
                f"{self.max_pitch}."
            )
        if self.key:
            steering.key_outside(self.key)

    @property
    def bar_steps(self):
        """Steps of a bar: the primer's at its end, or 16."""
        if self.primer is None:
            return STEPS_PER_BAR
        _, numerator, denominator = self.time_signature
        quarter = self.primer.steps_per_quarter
        return max(round(numerator * 4 * quarter / denominator), 1)

    @property
    def time_signature(self):
        """(step, numerator, denominator) in force where the new bars begin."""
        if self.primer is None or not self.primer.time_signatures:
            return (0, 4, 4)
        return self.primer.time_signatures[-1]


_BOUNDS = {
    "num_pieces": (1, 4096),
    "num_bars": (1, 1_000_000),
    "temperature": (0.0, 100.0),
    "replay_temperature": (0.0, 100.0),
    "seed": (0, 2**31 - 1),
    "tempo_qpm": (0.0, 1000.0),
    "key_strength": (0.0, 100.0),
    "min_pitch": (0, 127),
    "max_pitch": (0, 127),
    "density": (0.0, 128.0),
    "cut": (0.0, 0.5),
    "conservativity": (0.01, 100.0),
}


def style_schedule(text, config):
    """Reads a style that may change along the piece.

    Args:
        text: str: one style or mixture, or several, each from a bar on, separated by
            semicolons: `0: bach; 16: palestrina`. (Commas separate as well where every
            part begins with a bar.)
        config: ModelConfig.

    Returns:
        list of (bar, float32 [styles]), by bar, the first at bar 0.

    Raises:
        InputError: See `style_vector`.
    """
    separator = ";" if ";" in text else ","
    parts = [part.partition(":") for part in text.split(separator)]
    by_bars = all(bar.strip().isdigit() and style for bar, _, style in parts)
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
        text: str, as in `Wishes.style`.
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
