"""What can be measured on a single piece, by the formulas of the field.

Conventions:
    - A piece is `matrices.Matrices`; cells [time, pitch, channel], a step is a
      sixteenth note. Notes are counted at their onsets.
    - A bar reaches from one bar line to the next; what comes before the first line
      (an upbeat) and after the last counts as a bar too.
    - nan means that the piece is too short or too empty for the measure.

Sources, named at each function:
    MuseGAN: Dong, Hsiao, Yang, Yang, "MuseGAN", AAAI 2018, arXiv:1709.06298.
    MusPy: Dong, Chen, McAuley, Berg-Kirkpatrick, "MusPy", ISMIR 2020,
        arXiv:2008.01951, which takes some of them from Mogren, "C-RNN-GAN", 2016, and
        Wu and Yang, "The Jazz Transformer on the Front Line", ISMIR 2020.
    Those without a source are ours: they catch what sounds broken.
"""

import math

import numpy as np

from poph_tf import theory
from poph_tf.data.matrices import onsets, spans

_NAN = math.nan


def bars(matrices):
    """Cuts a piece at its bar lines.

    Returns:
        list of (first step, step after the last).
    """
    lines = np.flatnonzero(np.asarray(matrices.bar_position) == 0).tolist()
    edges = sorted({0, *lines, len(matrices.cells)})
    return list(zip(edges[:-1], edges[1:], strict=True))


def beats(matrices):
    """Cuts a piece into quarter notes, counted from each bar line; as `bars`."""
    position = np.asarray(matrices.bar_position, np.int64)
    lines = np.flatnonzero(position % matrices.steps_per_quarter == 0).tolist()
    edges = sorted({0, *lines, len(position)})
    return list(zip(edges[:-1], edges[1:], strict=True))


def _share_empty(matrices, parts):
    sounds = matrices.play.any(axis=1)
    empty = [not sounds[start:stop].any() for start, stop in parts]
    return float(np.mean(empty)) if empty else _NAN


def empty_bar_share(matrices):
    """Share of bars in which nothing sounds. MuseGAN, EB."""
    return _share_empty(matrices, bars(matrices))


def empty_beat_share(matrices):
    """Share of beats in which nothing sounds. MusPy, `empty_beat_rate`."""
    return _share_empty(matrices, beats(matrices))


def _class_counts(cells):
    """Onsets by pitch class, [12]."""
    return theory.class_counts(onsets(cells).sum(axis=0))


def used_pitch_classes(matrices):
    """Pitch classes that sound in a bar, 0..12, mean over bars. MuseGAN, UPC."""
    play = matrices.play
    counts = [
        len(set(np.flatnonzero(play[start:stop].any(axis=0)) % 12))
        for start, stop in bars(matrices)
    ]
    return float(np.mean(counts)) if counts else _NAN


def polyphony(matrices):
    """Pitches that sound at once, mean over steps that are not silent. MusPy."""
    sounding = matrices.play.sum(axis=1)
    return float(sounding[sounding > 0].mean()) if sounding.any() else _NAN


def scale_consistency(matrices):
    """Share of notes in the scale that fits best, of the 24 keys. MusPy.

    The natural minor has the notes of its relative major: 12 scales in fact.
    """
    counts = _class_counts(matrices.cells)
    if not counts.sum():
        return _NAN
    outside = theory.scale_rows() @ counts
    return float(1 - outside.min() / counts.sum())


def pitch_class_entropy(matrices):
    """Entropy of the notes' pitch classes in bits, 0..log2(12) = 3.585. MusPy."""
    counts = _class_counts(matrices.cells)
    if not counts.sum():
        return _NAN
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def groove_consistency(matrices):
    """How much the rhythm of a bar is that of the next, 0..1. MusPy.

    1 - mean over neighbouring bars of the share of their steps in which one has an
    onset and the other has none. Neighbours of different length are left out.
    """
    struck = onsets(matrices.cells).any(axis=1)
    rhythms = [struck[start:stop] for start, stop in bars(matrices)]
    differing = [
        float((one != other).mean())
        for one, other in zip(rhythms, rhythms[1:], strict=False)
        if len(one) == len(other)
    ]
    return 1 - float(np.mean(differing)) if differing else _NAN


def out_of_key_share(matrices):
    """Share of sounding cells outside the best of the 12 major scales."""
    by_pitch = matrices.play.sum(axis=0, dtype=np.int64)
    if not by_pitch.sum():
        return _NAN
    return theory.out_of_key_share(theory.class_counts(by_pitch))


def notes_per_bar(matrices):
    """Onsets through 16 steps."""
    length = len(matrices.cells)
    return 16 * float(onsets(matrices.cells).sum()) / length if length else _NAN


def longest_note_steps(matrices):
    """Steps of the longest note: high where a note is stuck."""
    start, end, _, _ = spans(matrices.cells)
    return float((end - start).max()) if len(start) else _NAN


def longest_silence_steps(matrices):
    """Steps of the longest silence."""
    sounds = np.concatenate([[True], matrices.play.any(axis=1), [True]])
    edges = np.flatnonzero(sounds)
    return float(np.diff(edges).max() - 1)


def repeated_bar_share(matrices):
    """Share of bars that sound the same as the bar before: high in endless loops."""
    cells = matrices.cells
    pieces = [cells[start:stop, :, :2] for start, stop in bars(matrices)]
    same = [
        np.array_equal(one, other)
        for one, other in zip(pieces, pieces[1:], strict=False)
    ]
    return float(np.mean(same)) if same else _NAN


def density_drift(matrices):
    """Onsets of the last third through those of the first: 1 where it keeps on."""
    by_step = onsets(matrices.cells).sum(axis=1)
    third = len(by_step) // 3
    first, last = by_step[:third].sum(), by_step[len(by_step) - third :].sum()
    return float(last / first) if first else _NAN


MEASURES = {
    function.__name__: function
    for function in (
        empty_bar_share,
        used_pitch_classes,
        polyphony,
        scale_consistency,
        pitch_class_entropy,
        groove_consistency,
        empty_beat_share,
        out_of_key_share,
        notes_per_bar,
        longest_note_steps,
        longest_silence_steps,
        repeated_bar_share,
        density_drift,
    )
}


def measure(matrices):
    """All measures of a piece.

    Args:
        matrices: matrices.Matrices, canonical.

    Returns:
        dict of float by the names in `MEASURES`.
    """
    return {name: function(matrices) for name, function in MEASURES.items()}
