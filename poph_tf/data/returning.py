"""Finds the earlier bar that each bar of a piece returns to."""

import numpy as np

from poph_tf.data import bars

# A bar returns to an earlier one if they have at least this share of their onsets in
# common (Jaccard index): of all tracks, or of some alone, which may return while the
# others differ.
ALIKE, SOME_ALIKE = 0.5, 0.9


def find_returns(
    onsets: np.ndarray,
    bar_position: np.ndarray,
    alike: float = ALIKE,
    most_steps: int = 2**30,
) -> np.ndarray:
    """Finds the earlier bar that each bar is most like; of several, the nearest.

    Args:
        onsets: bool [step, ...], of cells.
        bar_position: int [step], steps since the bar line; the first bar may have begun
            before.
        alike: share of common onsets from which on a bar is a return.
        most_steps: how far back to look.

    Returns:
        int32 [step], how many steps back the same place of that bar lies; 0 in bars
        that are like none.

    Example:
        >>> onsets = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0, 1]]
        >>> find_returns(onsets, np.array([0, 1, 0, 1, 0, 1])).tolist()
        [0, 0, 0, 0, 4, 4]
    """
    bar, lines = bars.numbered(bar_position)
    flat = onsets.reshape(len(bar), -1)
    # Cells without an onset tell nothing.
    flat = flat[:, flat.any(axis=0)]
    by_bar = np.zeros((len(lines), int(bar_position.max()) + 1, flat.shape[1]), bool)
    by_bar[bar, bar_position] = flat
    steps = np.zeros(len(lines), np.int32)
    first = np.searchsorted(lines, lines - most_steps)
    for k in range(1, len(lines)):
        # The nearest first, so that it is the one found among equals.
        earlier, own = by_bar[first[k] : k][::-1], by_bar[k]
        common = (earlier & own).sum(axis=(1, 2))
        share = common / np.maximum((earlier | own).sum(axis=(1, 2)), 1)
        if len(share) and share.max() >= alike:
            steps[k] = lines[k] - lines[k - 1 - share.argmax()]
    return steps[bar]
