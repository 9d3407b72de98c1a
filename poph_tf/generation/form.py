"""The form of a piece: the earlier bar that each bar returns to.

It is decided before the first note and given to models that read it. If the user names
none, it is drawn: bars return in runs, whose distances and lengths are as frequent as
in the songs of POP909.
"""

import numpy as np

from poph_tf.data import bars
from poph_tf.generation import host_randomness

# From the first 32 bars of the 573 songs of POP909 that train `pop909`: how often a run
# begins at each distance, in bars; in thousandths.
DISTANCES = (
    *(66, 114, 21, 203, 14, 26, 12, 193, 18, 13, 5, 23, 6, 6, 6, 38),
    *(12, 10, 9, 20, 11, 6, 6, 36, 14, 13, 7, 25, 11, 9, 7, 39),
)
# How often a run of 1, 2, ... bars goes on; the last value holds for all longer runs.
GOES_ON = (0.38, 0.64, 0.72, 0.79, 0.89, 0.85, 0.76, 0.64, 0.89)
# How often a run begins in a bar after a new bar, or right after another run, if every
# distance is possible.
BEGINS, FOLLOWS = 0.18, 0.36
# All decisions use integers below this, so that a graph makes the same ones.
ONE = 2**24


def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds of the random numbers, by the length of the run so far (0: no run).

    Returns:
        int [length]: below it the run goes on; int [length, bar]: below it another run
        begins; int [distance]: how often a run begins at this distance or a smaller
        one, in thousandths. Longer runs and later bars use the last entry.
    """
    shares = np.cumsum((0, *DISTANCES))
    goes_on = np.array((0.0, *GOES_ON))
    begins = np.array((BEGINS, *[FOLLOWS] * len(GOES_ON)))
    begins = goes_on[:, None] + np.outer((1 - goes_on) * begins, shares / shares[-1])
    return *(np.rint(ONE * x).astype(np.int64) for x in (goes_on, begins)), shares


def returns(
    form: str, seeds: np.ndarray, bar_position: np.ndarray, most_steps: int
) -> np.ndarray:
    """How far back the bar lies that each step returns to.

    Args:
        form: letters, or empty to draw a form.
        seeds: int32 [row, 2].
        bar_position: int [step], for the whole piece.
        most_steps: bars farther back are no longer known.

    Returns:
        int32 [row, step], 0 in bars that return to none.
    """
    bar, lines = bars.numbered(bar_position)
    back = of_letters(form, len(lines))[None] if form else drawn(seeds, len(lines))
    steps = lines - lines[np.arange(len(lines)) - back]
    steps = np.where(steps <= most_steps, steps, 0)
    return np.broadcast_to(steps[:, bar], (len(seeds), len(bar))).astype(np.int32)


def of_letters(form: str, num_bars: int) -> np.ndarray:
    """Bars from each bar back to its model, by sections of equal length.

    Args:
        form: a letter for each section; the same letter is the same music.
        num_bars: number of bars in the whole piece.

    Example:
        >>> of_letters("ABA", 6).tolist()
        [0, 0, 0, 0, 4, 4]
    """
    edges = np.arange(len(form) + 1) * num_bars // len(form)
    back = np.zeros(num_bars, int)
    for k, letter in enumerate(form):
        before = form.rfind(letter, 0, k)
        if before >= 0:
            length = min(np.diff(edges)[[before, k]])
            back[edges[k] : edges[k] + length] = edges[k] - edges[before]
    return back


def drawn(seeds: np.ndarray, num_bars: int) -> np.ndarray:
    """Draws a form for each piece.

    Args:
        seeds: int32 [row, 2].
        num_bars: number of bars in the whole piece.

    Returns:
        int [row, bar], bars from each bar back to its model; 0: none.
    """
    goes_on, begins, shares = tables()
    numbers = host_randomness.form_numbers(seeds, num_bars)
    back = np.zeros((len(seeds), num_bars), np.int64)
    length = np.zeros(len(seeds), np.int64)
    for bar in range(1, num_bars):
        before, (first, second) = back[:, bar - 1], numbers[:, bar].T
        run, last = np.minimum(length, len(goes_on) - 1), min(bar, len(shares) - 1)
        stays, starts = first < goes_on[run], first < begins[run, last]
        new = np.searchsorted(shares, second * shares[last] // ONE, side="right")
        back[:, bar] = np.where(stays, before, np.where(starts, new, 0))
        goes = stays | (starts & (new == before))
        length = np.where(goes, length + 1, starts)
    return back
