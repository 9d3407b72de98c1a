"""Chords as musicians write them: their notes, and the key that they suggest."""

import re
import typing

from poph_tf.errors import InputError
from poph_tf.theory import (
    CHORDS,
    NUM_KEYS,
    NUM_PITCH_CLASSES,
    TONICS,
    UNKNOWN,
    key_profiles,
    scale_rows,
    triads,
)

if typing.TYPE_CHECKING:
    import numpy as np

SPELLINGS = {
    "min": "m",
    "-": "m",
    "min7": "m7",
    "-7": "m7",
    "M7": "maj7",
    "Δ": "maj7",
    "°": "dim",
    "°7": "dim7",
    "ø": "m7b5",
    "ø7": "m7b5",
    "+": "aug",
    "sus": "sus4",
}
# Semitones above the root, by the text after the root.
KINDS = CHORDS | {spelling: CHORDS[kind] for spelling, kind in SPELLINGS.items()}
# What a chord on the tonic, with the tonic triad, adds to the fit of its key: once if
# it is among the chords, again if it is the first, and again if it is the last.
TONIC = 0.1


def read_chords(text: str) -> "np.ndarray":
    """Reads chords such as 'C G7 Am F#m' or 'C | D/F# | B♭M7'.

    Args:
        text: roots with # or b, each with one of `KINDS`, between spaces, commas or
            bar lines. The bass after / is ignored.

    Returns:
        float32 [chord, 12], 1 outside the chord, C first.

    Example:
        >>> (read_chords("Am")[0] == 0).nonzero()[0].tolist()
        [0, 4, 9]
        >>> (read_chords("D♭M7/F | B°") == read_chords("Dbmaj7, Bdim")).all()
        np.True_

    Raises:
        InputError: If a chord is not known.
    """
    import numpy as np

    rows = [
        np.isin(np.arange(NUM_PITCH_CLASSES), chord, invert=True)
        for chord in _classes(text)
    ]
    return np.array(rows, np.float32).reshape(-1, NUM_PITCH_CLASSES)


def _classes(text: str) -> list[list[int]]:
    """The pitch classes of each chord, its root first."""
    found = []
    for word in text.translate(str.maketrans("♭♯,|", "b#  ")).split():
        match = re.fullmatch(r"([A-G])([#b]?)([^/]*)(/[A-G][#b]?)?", word)
        if not match or match[3] not in KINDS:
            raise InputError(
                f"chords must be roots and one of {', '.join(CHORDS)[2:]}, such as "
                f"'C G7 Am F', got {word!r}."
            )
        root = TONICS[match[1]] + {"": 0, "#": 1, "b": -1}[match[2]]
        found.append([(root + above) % NUM_PITCH_CLASSES for above in KINDS[match[3]]])
    return found


def key_of_chords(chords: str) -> int:
    """The key that the chords fit best.

    The fit is the correlation of their notes with the key's profile, minus the share of
    notes outside its scale. Tonic chords add a little, the first and the last alike,
    since the chords may repeat. A triad above another root, such as D minor in Bbmaj7,
    does not count as the tonic.

    Returns:
        0..23; -1 if every class sounds alike.

    Example:
        >>> [key_of_chords(text) for text in ("C G Am F", "Bbmaj7 F C9", "A7 Dm")]
        [0, 5, 14]
    """
    import numpy as np

    sounding = 1 - read_chords(chords)
    roots = np.array([[chord[0]] for chord in _classes(chords)])
    counts = sounding.sum(axis=0)
    if not counts.std():
        return UNKNOWN
    outside = scale_rows() * scale_rows("harmonic")
    centred = counts - counts.mean()
    fit = key_profiles() @ centred / (centred @ centred) ** 0.5
    fit -= outside @ counts / counts.sum()
    tonic = (triads()[:, :NUM_KEYS] > 0).astype(int)
    named = sounding @ tonic == tonic.sum(axis=0)
    named &= roots == np.arange(NUM_KEYS) % NUM_PITCH_CLASSES
    times = named[[0, -1]].sum(axis=0) + named.any(axis=0)
    return int((fit + TONIC * times).argmax())
