"""How the voices of a piece move: parallels, and how many pitches sound.

Conventions:
    - A piece is `data.matrices.Matrices`; a chord is a set of sounding pitches; a
      change is the step from one chord to a different one.
    - The voices are the sounding pitches from low to high; only changes from four
      sounding pitches to four count.

Source: the rule against parallel perfect intervals as in Fux, *Gradus ad Parnassum*
(1725), and Huron, "Tone and Voice", Music Perception 19 (2001), which explains it.
"""

import itertools

import numpy as np

from poph_tf.data.matrices import Matrices
from poph_tf.evaluation.measures import mean

NUM_VOICES = 4
PERFECT = (0, 7)  # semitones within the octave: unison or octave, fifth

Chord = tuple[int, ...]


def chords(piece: Matrices) -> list[Chord]:
    """The successive different chords of a piece, each as pitches from low to high.

    Silence is left out, but a chord after it counts as new.
    """
    found: list[Chord] = []
    before: Chord = ()
    for step in piece.play:
        chord = tuple(np.flatnonzero(step).tolist())
        if chord and chord != before:
            found.append(chord)
        before = chord
    return found


def changes(piece: Matrices) -> list[tuple[Chord, Chord]]:
    """The changes from four sounding pitches to four."""
    pairs = itertools.pairwise(chords(piece))
    return [(a, b) for a, b in pairs if len(a) == len(b) == NUM_VOICES]


def is_parallel(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether two voices move in one direction from a perfect interval to the same one.

    Example:
        >>> is_parallel((48, 55), (50, 57)), is_parallel((48, 55), (48, 55))
        (True, False)
    """
    lower, upper = after[0] - before[0], after[1] - before[1]
    intervals = [(high - low) % 12 for low, high in (before, after)]
    return (
        lower * upper > 0 and intervals[0] == intervals[1] and intervals[0] in PERFECT
    )


def count_parallels(before: Chord, after: Chord) -> tuple[int, int]:
    """Parallel fifths and octaves of a change: of any two voices, and the outer two."""
    voices = list(zip(before, after, strict=True))
    pairs = itertools.combinations(voices, 2)
    any_two = sum(is_parallel((a[0], b[0]), (a[1], b[1])) for a, b in pairs)
    low, high = voices[0], voices[-1]
    return any_two, int(is_parallel((low[0], high[0]), (low[1], high[1])))


def _rate(piece: Matrices, which: int) -> float:
    return 100 * mean([count_parallels(*both)[which] for both in changes(piece)])


def parallels(piece: Matrices) -> float:
    """Parallel fifths and octaves of any two voices, per 100 changes of four voices."""
    return _rate(piece, 0)


def outer_parallels(piece: Matrices) -> float:
    """Parallel fifths and octaves of the outer voices, per 100 changes."""
    return _rate(piece, 1)


def four_pitches_share(piece: Matrices) -> float:
    """Share of the sounding steps in which exactly four pitches sound."""
    sounding = piece.play.sum(axis=1)
    sounding = sounding[sounding > 0]
    return mean(sounding == NUM_VOICES)


def final_voices(piece: Matrices) -> float:
    """Pitches that sound in the last step of a piece."""
    return float(piece.play[-1].sum()) if len(piece.play) else float("nan")


def chord_changes_per_bar(piece: Matrices) -> float:
    """Chord changes per 16 steps, on average."""
    return 16 * len(chords(piece)) / (len(piece) or float("nan"))


MEASURES = (
    chord_changes_per_bar,
    parallels,
    outer_parallels,
    four_pitches_share,
    final_voices,
)
