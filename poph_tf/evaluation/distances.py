"""How two sets of pieces differ: distributions of distances between their histograms.

After Yang and Lerch, "On the evaluation of generative models in music", Neural
Computing and Applications, 2020, doi:10.1007/s00521-018-3849-7 (their program is
mgeval). Each piece becomes a histogram. Euclidean distances are taken between all pairs
of reference pieces (intra) and between each composed and each reference piece (inter);
both sets of distances are smoothed to densities with a Gaussian kernel. If the composed
pieces were distributed like the reference, the densities would be the same: overlap
area 1, Kullback-Leibler divergence 0.

Two differences: densities lie on one common grid (mgeval samples each on its own
range), and a floor under the densities bounds the divergence, since a kernel's tails
underflow.
"""

from collections.abc import Callable

import numpy as np

from poph_tf.data.matrices import onsets, spans
from poph_tf.evaluation.form import melody

MAX_STEPS, MAX_INTERVAL = 16, 12
GRID_POINTS = 1000
MAX_DISTANCES = 5000
_FLOOR = 1e-10
_MIN_BANDWIDTH = 1e-3


def pitch_classes(cells: np.ndarray) -> np.ndarray:
    """Notes by pitch class, [12], C first."""
    return np.bincount(spans(cells)[2] % 12, minlength=12)


def note_lengths(cells: np.ndarray) -> np.ndarray:
    """Notes by length in steps, [16]: 1, 2, ..., 16 and longer."""
    start, end, _, _ = spans(cells)
    return _counts(end - start)


def onset_intervals(cells: np.ndarray) -> np.ndarray:
    """Steps between neighbouring attacks, [16]: 1, 2, ..., 16 and more."""
    return _counts(np.diff(np.flatnonzero(onsets(cells).any(axis=1))))


def _counts(steps: np.ndarray) -> np.ndarray:
    steps = np.clip(steps, 1, MAX_STEPS)
    return np.bincount(steps, minlength=MAX_STEPS + 1)[1:]


def pitch_intervals(cells: np.ndarray) -> np.ndarray:
    """Semitones from note to note of the top voice, [25].

    The top voice is that of `form.melody`. Bins run from an octave down (or more) to an
    octave up (or more), with a repetition in the middle.
    """
    moves = np.clip(np.diff(melody(cells)[1]), -MAX_INTERVAL, MAX_INTERVAL)
    return np.bincount(moves + MAX_INTERVAL, minlength=2 * MAX_INTERVAL + 1)


HISTOGRAMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    function.__name__: function
    for function in (pitch_classes, note_lengths, onset_intervals, pitch_intervals)
}


def normalized(counts: np.ndarray) -> np.ndarray:
    """Shares [piece, bin] of counts [piece, bin]; empty pieces are left out."""
    counts = np.asarray(counts, np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    kept = sums[:, 0] > 0
    return counts[kept] / sums[kept]


def between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean distances [pair] of each of `one` and each of `other` [piece, bin]."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0)).reshape(-1)


def within(shares: np.ndarray) -> np.ndarray:
    """Euclidean distances [pair] of all pairs of different pieces [piece, bin]."""
    rows, columns = np.triu_indices(len(shares), k=1)
    return np.sqrt(((shares[rows] - shares[columns]) ** 2).sum(axis=1))


def density(distances: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Gaussian kernel density by Scott's rule: bandwidth = deviation * n^(-1/5).

    Args:
        distances: [pair].
        grid: points [point] at which the density is computed.

    Returns:
        [point].
    """
    distances = _thinned(distances)
    width = _bandwidth(distances)
    bumps = np.exp(-0.5 * ((grid[:, None] - distances[None]) / width) ** 2)
    return bumps.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def _bandwidth(distances: np.ndarray) -> float:
    deviation = distances.std(ddof=1) if len(distances) > 1 else 0.0
    return max(deviation * len(distances) ** -0.2, _MIN_BANDWIDTH)


def _thinned(distances: np.ndarray) -> np.ndarray:
    """Quantiles in place of too many distances: the same shape at less cost."""
    distances = np.asarray(distances, np.float64)
    if len(distances) <= MAX_DISTANCES:
        return distances
    return np.quantile(distances, np.linspace(0, 1, MAX_DISTANCES))


def common_grid(*sets: np.ndarray) -> np.ndarray:
    """Points [point] that cover all distances and their tails."""
    thinned = [_thinned(distances) for distances in sets]
    margin = 4 * max(map(_bandwidth, thinned))
    lowest = min(distances.min() for distances in thinned)
    highest = max(distances.max() for distances in thinned)
    return np.linspace(lowest - margin, highest + margin, GRID_POINTS)


def overlap_area(one: np.ndarray, other: np.ndarray) -> float:
    """Area under the lower of two densities of distances [pair], 0..1."""
    grid = common_grid(one, other)
    lower = np.minimum(density(one, grid), density(other, grid))
    return float(min(np.trapezoid(lower, grid), 1.0))


def kl_divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Kullback-Leibler divergence of `other`'s density from `one`'s, in nats."""
    grid = common_grid(one, other)
    p, q = (np.maximum(density(d, grid), _FLOOR) for d in (one, other))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def compare(composed: np.ndarray, reference: np.ndarray) -> dict[str, float | None]:
    """Compares two sets of histograms.

    Args:
        composed: counts [piece, bin].
        reference: counts [piece, bin].

    Returns:
        `overlap_area` and `kl_divergence`, from the distances within the reference to
        those between the sets; `overlap_area_of_halves`, the same for two halves of
        the reference, about the most that a set of this size can reach; the means of
        the distances `mean_within_composed`, `mean_within_reference`, `mean_between`.
        None where too few pieces have notes.
    """
    composed, reference = normalized(composed), normalized(reference)
    enough = len(composed) >= 1 and len(reference) >= 3
    intra, inter = within(reference), between(composed, reference)
    own, halves = within(composed), between(reference[::2], reference[1::2])
    return {
        "overlap_area": overlap_area(intra, inter) if enough else None,
        "kl_divergence": kl_divergence(intra, inter) if enough else None,
        "overlap_area_of_halves": overlap_area(intra, halves) if enough else None,
        "mean_within_composed": float(own.mean()) if enough and len(own) else None,
        "mean_within_reference": float(intra.mean()) if enough else None,
        "mean_between": float(inter.mean()) if enough else None,
    }
