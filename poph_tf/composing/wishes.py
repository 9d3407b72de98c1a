"""What a musician wishes for: the settings of a composition, checked.

Everything that can be wrong with a wish is found here, before a network is asked.
"""

import dataclasses

import numpy as np

from poph_tf.composing import given, steering
from poph_tf.errors import InputError

# The second word of a seed is a piece's number; its drafts and particles come in
# strides of this, so that no two of them share one.
MAX_PIECES = 4096
# Drafts of one piece: best_of times particles.
MAX_DRAFTS = 4096
# What the best of several drafts may be chosen by.
BEST_BY = ("key", "likelihood")


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What to compose.

    Args:
        num_pieces: int.
        num_bars: int. New bars of each piece.
        temperature: float. Below 1 safer, above 1 bolder.
        replay_temperature: float. Of repeated notes; 0: as `temperature`.
        seed: int. The same seed, settings and build give the same pieces.
        style: str. A style's name, a mixture `bach:0.7,monteverdi:0.3`, or either of
            them from a bar on, `0: bach; 16: monteverdi`; "" for the shares of the
            training data.
        primer: Matrices to go on from, or None.
        from_bar: int. The first new bar, counted from 1: what the primer has from
            there on is left out; 0: goes on after its end.
        keep_primer: bool. Whether the pieces begin with the primer.
        redraw: str. Bars of the primer to draw anew, such as "9-12"; the rest of it
            stays as it is, and the new bars are to fit what follows.
        redraw_lookahead: int. Bars after them that are looked at.
        fix: Matrices whose notes are held while the model composes around them, or
            None. A piece is as long as they are.
        fix_as: str. "melody": while it sounds nothing is drawn above it, "bass":
            nothing below, "any": anywhere.
        particles: int. Drafts weighed by what is given, for `fix` and `redraw`.
        best_of: int. Drafts of each piece, of which one is kept.
        best_by: str. "key": the draft with the fewest notes outside a key (`key`, or
            the best-fitting); "likelihood": the one that the model finds likeliest.
        tempo_qpm: float. 0: the given music's, or 120.
        metre: str, such as "3/4"; "": the given music's, or 4/4.
        key: str, such as "Bb major"; "auto": whichever the piece turns out to be in;
            "" for any.
        key_strength: float. Logits taken from every pitch outside the key.
        min_pitch, max_pitch: int. MIDI numbers of the range to draw in.
        density: float. Wanted mean of notes sounding at a time; 0: as it comes.
        cut: float. Notes less probable than this are not drawn.
        conservativity: float. Exponent of the probability: above 1 fewer notes.
        silent_warmth: float. Added to the temperature of each step from the 16th
            silent one on, until a note sounds (DeepJ's rule); 0: silence may last.
    """

    num_pieces: int = 4
    num_bars: int = 32
    temperature: float = 1.0
    replay_temperature: float = 0.0
    seed: int = 0
    style: str = ""
    primer: object = None
    from_bar: int = 0
    keep_primer: bool = True
    redraw: str = ""
    redraw_lookahead: int = 2
    fix: object = None
    fix_as: str = "melody"
    particles: int = 16
    best_of: int = 1
    best_by: str = "key"
    tempo_qpm: float = 0.0
    metre: str = ""
    key: str = ""
    key_strength: float = 2.0
    min_pitch: int = 0
    max_pitch: int = 127
    density: float = 0.0
    cut: float = 0.0
    conservativity: float = 1.0
    silent_warmth: float = 0.1

    def __post_init__(self):
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must be {low} to {high}, got {value}.")
        if 0 < self.tempo_qpm < SLOWEST_TEMPO:
            raise InputError(
                f"tempo_qpm must be 0 (the given, or 120) or at least "
                f"{SLOWEST_TEMPO:g}, for MIDI goes little slower, got "
                f"{self.tempo_qpm:g}."
            )
        if self.min_pitch > self.max_pitch:
            raise InputError(
                f"min_pitch must not exceed max_pitch, got {self.min_pitch} and "
                f"{self.max_pitch}."
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} must be one of {', '.join(allowed)}, got "
                    f"{getattr(self, name)!r}."
                )
        if self.key and self.key != steering.AUTO_KEY:
            steering.key_outside(self.key)
        if self.metre:
            given.read_metre(self.metre)
        if self.redraw:
            given.read_bars(self.redraw)
        self._check_together()

    def _check_together(self):
        if self.redraw and self.primer is None:
            raise InputError("redraw needs a primer: the piece that has these bars.")
        if self.from_bar and (self.primer is None or self.redraw):
            raise InputError("from_bar needs a primer to go on from, and no redraw.")
        if self.fix is not None and self.primer is not None:
            raise InputError("fix and primer do not go together: give one of them.")
        if self.metre and (self.fix is not None or self.redraw):
            raise InputError(
                "metre must be left out with fix and redraw: theirs holds."
            )
        if self.drafts > MAX_DRAFTS:
            raise InputError(
                f"best_of times particles must be {MAX_DRAFTS} at most, got "
                f"{self.drafts}."
            )

    @property
    def num_particles(self):
        """Particles of each draft; 0 where nothing is given that could weigh them."""
        return self.particles if self.fix is not None or self.redraw else 0

    @property
    def drafts(self):
        """Rows that are drawn for each piece."""
        return self.best_of * max(self.num_particles, 1)


# A little above what the three bytes of a MIDI file's tempo can say.
SLOWEST_TEMPO = 4.0
_BOUNDS = {
    "num_pieces": (1, MAX_PIECES),
    "num_bars": (1, 1_000_000),
    "temperature": (0.0, 100.0),
    "replay_temperature": (0.0, 100.0),
    "from_bar": (0, 1_000_000),
    "redraw_lookahead": (0, 1024),
    "particles": (1, MAX_DRAFTS),
    "best_of": (1, MAX_DRAFTS),
    "seed": (0, 2**31 - 1),
    "tempo_qpm": (0.0, 1000.0),
    "key_strength": (0.0, 100.0),
    "min_pitch": (0, 127),
    "max_pitch": (0, 127),
    "density": (0.0, 128.0),
    "cut": (0.0, 0.5),
    "conservativity": (0.01, 100.0),
    "silent_warmth": (0.0, 100.0),
}
_CHOICES = {"fix_as": given.VOICES, "best_by": BEST_BY}


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
