"""Measures of a single piece, by the formulas of the field.

Conventions:
    - A piece is `Matrices`; cells [time, pitch, channel], a step is a sixteenth note.
      Notes are counted at their onsets.
    - A bar reaches from one bar line to the next; the steps before the first line (an
      upbeat) and after the last count as bars too.
    - nan means that the piece is too short or too empty for the measure.

Sources, named at each function:
    MuseGAN: Dong, Hsiao, Yang, Yang, "MuseGAN", AAAI 2018, arXiv:1709.06298.
    MusPy: Dong, Chen, McAuley, Berg-Kirkpatrick, "MusPy", ISMIR 2020,
        arXiv:2008.01951, which takes some of them from Mogren, "C-RNN-GAN", 2016, and
        Wu and Yang, "The Jazz Transformer on the Front Line", ISMIR 2020.
    Those without a source are this project's: they catch what sounds broken.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.data.matrices import Matrices, onsets, spans

_NAN = math.nan


def bars(matrices: Matrices) -> list[tuple[int, int]]:
    """Cuts a piece at its bar lines: (first step, step after the last) of each bar."""
    return _cut(matrices.bar_position == 0)


def beats(matrices: Matrices) -> list[tuple[int, int]]:
    """Cuts a piece into quarter notes, counted from each bar line; like `bars`."""
    return _cut(matrices.bar_position % matrices.steps_per_quarter == 0)


def _cut(lines: np.ndarray) -> list[tuple[int, int]]:
    edges = sorted({0, *np.flatnonzero(lines).tolist(), len(lines)})
    return list(zip(edges[:-1], edges[1:], strict=True))


def mean(values: Sequence[Any] | np.ndarray) -> float:
    """The mean; nan of nothing."""
    return float(np.mean(values)) if len(values) else _NAN


def _share_empty(matrices: Matrices, parts: Sequence[tuple[int, int]]) -> float:
    sounds = np.asarray(matrices.play.any(axis=1))
    return mean([not sounds[start:stop].any() for start, stop in parts])


def empty_bar_share(matrices: Matrices) -> float:
    """Share of bars in which nothing sounds. MuseGAN, EB."""
    return _share_empty(matrices, bars(matrices))


def empty_beat_share(matrices: Matrices) -> float:
    """Share of beats in which nothing sounds. MusPy, `empty_beat_rate`."""
    return _share_empty(matrices, beats(matrices))


def _class_counts(matrices: Matrices) -> np.ndarray:
    """Onsets by pitch class, [12]."""
    return theory.class_counts(onsets(matrices.cells).sum(axis=0))


def used_pitch_classes(matrices: Matrices) -> float:
    """Pitch classes that sound in a bar, 0..12, mean over bars. MuseGAN, UPC."""
    play = matrices.play
    sounding = [play[start:stop].any(axis=0) for start, stop in bars(matrices)]
    return mean([np.count_nonzero(theory.class_counts(bar)) for bar in sounding])


def polyphony(matrices: Matrices) -> float:
    """Pitches that sound at once, mean over steps that are not silent. MusPy."""
    sounding = matrices.play.sum(axis=1)
    return mean(sounding[sounding > 0])


def scale_consistency(matrices: Matrices) -> float:
    """Share of notes in the best-fitting scale of the 24 keys. MusPy.

    The natural minor has the notes of its relative major: 12 scales in fact.
    """
    counts = _class_counts(matrices)
    outside = theory.scale_rows() @ counts
    return float(1 - outside.min() / (counts.sum() or _NAN))


def pitch_class_entropy(matrices: Matrices) -> float:
    """Entropy of the notes' pitch classes in bits, 0..log2(12) = 3.585. MusPy."""
    counts = _class_counts(matrices)
    shares = counts[counts > 0] / counts.sum() if counts.any() else np.array([_NAN])
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def groove_consistency(matrices: Matrices) -> float:
    """How similar the rhythms of neighbouring bars are, 0..1. MusPy.

    1 - mean over neighbouring bars of the share of their steps in which one has an
    onset and the other has none. Neighbours of different length are left out.
    """
    struck = np.asarray(onsets(matrices.cells).any(axis=1))
    rhythms = [struck[start:stop] for start, stop in bars(matrices)]
    pairs = zip(rhythms, rhythms[1:], strict=False)
    return 1 - mean([(a != b).mean() for a, b in pairs if len(a) == len(b)])


def out_of_key_share(matrices: Matrices) -> float:
    """Share of sounding cells outside the best of the 12 major scales."""
    by_pitch = matrices.play.sum(axis=0, dtype=np.int64)
    share = theory.out_of_key_share(theory.class_counts(by_pitch))
    return share if by_pitch.any() else _NAN


def notes_per_bar(matrices: Matrices) -> float:
    """Onsets per 16 steps, on average."""
    return 16 * float(onsets(matrices.cells).sum()) / (len(matrices) or _NAN)


def longest_note_steps(matrices: Matrices) -> float:
    """Steps of the longest note: large if a note is stuck."""
    start, end, _, _ = spans(matrices.cells)
    return float((end - start).max()) if len(start) else _NAN


def longest_silence_steps(matrices: Matrices) -> float:
    """Steps of the longest silence."""
    sounds = np.concatenate([[True], matrices.play.any(axis=1), [True]])
    return float(np.diff(np.flatnonzero(sounds)).max() - 1)


def repeated_bar_share(matrices: Matrices) -> float:
    """Share of bars that sound like the bar before: large in endless loops."""
    parts = [matrices.cells[start:stop, :, :2] for start, stop in bars(matrices)]
    return mean([*map(np.array_equal, parts, parts[1:])])


def density_drift(matrices: Matrices) -> float:
    """Onsets of the last third divided by those of the first: 1 if steady."""
    by_step = onsets(matrices.cells).sum(axis=1)
    third = len(by_step) // 3
    first, last = by_step[:third].sum(), by_step[len(by_step) - third :].sum()
    return float(last / first) if first else _NAN


_ALL = (
    empty_bar_share, used_pitch_classes, polyphony, scale_consistency,
    pitch_class_entropy, groove_consistency, empty_beat_share, out_of_key_share,
    notes_per_bar, longest_note_steps, longest_silence_steps, repeated_bar_share,
    density_drift,
)  # fmt: skip
MEASURES = {function.__name__: function for function in _ALL}
