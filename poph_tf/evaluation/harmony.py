"""What the chords of a piece are like: triads, clashes, key, cadence.

Conventions:
    - A piece is `data.matrices.Matrices`; pitch classes are numbered from C = 0.
    - A chord is a set of sounding pitches; silence is no chord.
    - A key is a number 0..23, as in `theory`.

Sources:
    Krumhansl and Kessler's profiles and the correlation with them: Krumhansl,
        *Cognitive Foundations of Musical Pitch* (1990), chapters 2 and 4.
    Keys lie on the circle of fifths, a minor key at the place of its relative major.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from poph_tf.data.matrices import Matrices
from poph_tf.evaluation.measures import beats, mean
from poph_tf.evaluation.voice_leading import chords
from poph_tf.theory import NUM_PITCH_CLASSES, class_counts, key_profiles, triads

_ALL_TRIADS = {frozenset(np.flatnonzero(chord > 0).tolist()) for chord in triads().T}
WINDOW_BARS = 8
BAR_STEPS = 16
_NAN = float("nan")


def key_by_profile(play: np.ndarray) -> int | None:
    """The key whose profile correlates best with the time that each class sounds.

    Unlike in `theory.find_key`, the end of the piece counts no more than the rest.

    Args:
        play: [time, 128].

    Returns:
        0..11 major, 12..23 minor; None if nothing sounds, or all classes equally long.
    """
    counts = class_counts(play.sum(axis=0, dtype=np.int64))
    if not counts.std():
        return None
    return int((key_profiles() @ (counts - counts.mean())).argmax())


def fifths_between(one: int, other: int) -> int:
    """Steps on the circle of fifths between two keys, 0..6.

    Example:
        >>> fifths_between(0, 7), fifths_between(0, 12 + 9), fifths_between(0, 6)
        (1, 0, 6)
    """
    places = [7 * (key if key < 12 else key + 3) % 12 for key in (one, other)]
    apart = (places[0] - places[1]) % 12
    return min(apart, 12 - apart)


def key_drift(piece: Matrices) -> float:
    """Mean distance between the keys of successive 8-bar windows, in fifths."""
    window = WINDOW_BARS * BAR_STEPS
    starts = range(0, len(piece.play) - window // 2, window)
    keys = [key_by_profile(piece.play[start : start + window]) for start in starts]
    known = [key for key in keys if key is not None]
    return mean([fifths_between(a, b) for a, b in itertools.pairwise(known)])


def _on_beats(piece: Matrices) -> list[frozenset[int]]:
    """The pitch classes that sound on each beat, silent beats left out."""
    found = [_classes(np.flatnonzero(piece.play[at])) for at, _ in beats(piece)]
    return [classes for classes in found if classes]


def complete_triads(piece: Matrices) -> float:
    """Share of the sounding beats on which exactly a triad sounds.

    A triad is major, minor or diminished, in any position, with any doubling.
    """
    return mean([classes in _ALL_TRIADS for classes in _on_beats(piece)])


def semitone_clashes(piece: Matrices) -> float:
    """Share of the sounding beats with pitch classes a semitone apart, like C and C#.

    In any octave: a major seventh and a minor ninth count too.
    """
    return mean([any((k + 1) % 12 in c for k in c) for c in _on_beats(piece)])


def _classes(chord: Iterable[int]) -> frozenset[int]:
    return frozenset(int(pitch) % NUM_PITCH_CLASSES for pitch in chord)


def _is_triad_on(root: int, classes: frozenset[int]) -> bool:
    """Whether classes are a major or minor triad on a root, with at most one missing.

    The root itself has to sound.
    """
    triads = [{root, (root + third) % 12, (root + 7) % 12} for third in (3, 4)]
    return root in classes and len(classes) >= 2 and any(classes <= t for t in triads)


def ends_on_tonic_triad(piece: Matrices) -> float:
    """1 if the last chord belongs to the tonic triad, major or minor, else 0.

    The tonic has to sound, with at least the third or the fifth.
    """
    key, found = key_by_profile(piece.play), chords(piece)
    if key is None or not found:
        return _NAN
    return float(_is_triad_on(key % 12, _classes(found[-1])))


def ends_with_cadence(piece: Matrices) -> float:
    """1 if the last two harmonies are V-I or viio-I, else 0.

    The last harmony is a triad on its bass note, whatever the key of the piece. The
    harmony before it is the last chord that is not part of it; it has the leading note,
    with the dominant or the second degree, and at most one note foreign to the dominant
    seventh chord.
    """
    found = chords(piece)
    if not found:
        return _NAN
    tonic, last = found[-1][0] % 12, _classes(found[-1])
    if not _is_triad_on(tonic, last):
        return 0.0
    before = next((c for c in map(_classes, reversed(found)) if not c <= last), last)
    leading, second, fourth, dominant = ((tonic + k) % 12 for k in (11, 2, 5, 7))
    foreign = before - {leading, second, fourth, dominant}
    dominant_sounds = leading in before and bool(before & {second, dominant})
    return float(dominant_sounds and len(foreign) <= 1)


MEASURES = (
    complete_triads,
    semitone_clashes,
    key_drift,
    ends_on_tonic_triad,
    ends_with_cadence,
)
