"""The likeliest beats and bars, given how much each frame looks like one.

Beats are a chain of intervals, counted in bars of two, three or four. The score of a
chain adds up the evidence at its beats and bar lines, that for its tempo between them,
and penalties: for each tempo change, by its logarithm, and for bars that break the
count. Dynamic programming finds the best chain; each frame holds the best score of the
chains that have a beat there, by the interval before it and its place in the bar.

References: Krebs, Böck & Widmer, An Efficient State-Space Model for Joint Tempo and
Meter Tracking, ISMIR 2015, of which this is the semi-Markov form; Felzenszwalb &
Huttenlocher, Distance Transforms of Sampled Functions, 2012, for changes of tempo in
linear time.
"""

import dataclasses

import numpy as np

_SHORTEST = 6
# Beat intervals in frames: every number, then steps of a twentieth.
INTERVALS = np.unique(
    np.concatenate([np.arange(_SHORTEST, 20), np.geomspace(20, 72, 27).round()])
).astype(np.int64)
_LONGEST = int(INTERVALS[-1])
_METRES = (4, 3, 2)
_PLACE = np.concatenate([np.arange(metre) for metre in _METRES])
_METRE = np.repeat(_METRES, _METRES)
_OPENINGS = np.flatnonzero(_PLACE == 0)
_BEFORE = np.arange(len(_PLACE)) - 1  # of places that do not open a bar


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of the evidence, found by cross-validation.

    Attributes:
        threshold: the log-odds of a beat that count neither for nor against it.
        tempo: weight of the evidence of tempo, per frame.
        density: weight of `beats.usual_density`, added to the evidence of tempo.
        level: the same, where half the tempo is compared with the one found.
        change: penalty for a tempo change by a factor of e.
        bar: weight of the evidence of bar lines.
        sight: weight of `beat_features.bar_evidence`, added to the network's.
        bar_threshold: like `threshold`, for a bar line.
        metre_change: penalty for a change of metre.
        cut_bar: penalty for a bar that ends early.
    """

    threshold: float = 0.0
    tempo: float = 0.03
    density: float = 1.0
    level: float = 2.0
    change: float = 8.0
    bar: float = 1.0
    sight: float = 3.0
    bar_threshold: float = 0.5
    metre_change: float = 8.0
    cut_bar: float = 7.0


def decode(
    beat: np.ndarray, bar: np.ndarray, tempo: np.ndarray, weights: Weights
) -> tuple[np.ndarray, np.ndarray]:
    """The best chain of beats.

    Args:
        beat: float [frame], log-odds of a beat.
        bar: float [frame], log-odds of a bar line.
        tempo: float [frame, interval], log-probability of each of `INTERVALS`.
        weights: how to weigh them.

    Returns:
        int [beat]: frames, ascending; int [beat]: places in the bar, 0 on bar lines.
    """
    return _Chains(beat, bar, tempo, weights).best()


class _Chains:
    """The scores of the best chains to each frame, interval and place in the bar."""

    def __init__(
        self, beat: np.ndarray, bar: np.ndarray, tempo: np.ndarray, weights: Weights
    ) -> None:
        self._count = len(beat)
        opens = (bar - weights.bar_threshold) * weights.bar
        gain = (beat - weights.threshold)[:, None] + opens[:, None] * (_PLACE == 0)
        gain = gain.astype(np.float32)
        # Cumulative sums, so that the sum over an interval is one difference.
        tempo = np.cumsum(tempo * weights.tempo, axis=0)
        self._tempo = np.vstack([np.zeros(len(INTERVALS)), tempo]).astype(np.float32)
        self._slope = (weights.change * np.log(INTERVALS)).astype(np.float32)
        self._moves = _moves(weights).astype(np.float32)
        shape = (self._count + _LONGEST, len(INTERVALS), len(_PLACE))
        self._score = np.full((self._count, *shape[1:]), -np.inf, np.float32)
        # The best score of what may follow a beat; padded in front.
        self._next = np.full(shape, -np.inf, np.float32)
        for first in range(0, self._count, _SHORTEST):
            # Frames closer than the shortest interval do not depend on one another.
            frame = np.arange(first, min(first + _SHORTEST, self._count))
            self._advance(frame, gain[frame])

    def _advance(self, frame: np.ndarray, gain: np.ndarray) -> None:
        """Scores chains with a beat at each frame; gain is float [frame, place]."""
        column = np.arange(len(INTERVALS))
        before = frame[:, None] - INTERVALS
        value = self._next[before + _LONGEST, column]
        # A chain may begin in the first interval of the piece.
        value = np.where(before[..., None] < 0, np.float32(0), value)
        passed = self._tempo[np.maximum(before, -1) + 1, column]
        value = value + (self._tempo[frame + 1] - passed)[..., None] + gain[:, None]
        self._score[frame] = value
        self._next[frame + _LONGEST] = self._followed(value)

    def _followed(self, score: np.ndarray) -> np.ndarray:
        """The best score before each interval and place: [frame, interval, place]."""
        slope = self._slope[:, None]
        faster = np.maximum.accumulate(score + slope, axis=1) - slope
        turned = (score - slope)[:, ::-1]
        slower = np.maximum.accumulate(turned, axis=1)[:, ::-1] + slope
        best = np.maximum(faster, slower)
        follows = best[..., _BEFORE]
        for opening in _OPENINGS:
            follows[..., opening] = (best + self._moves[:, opening]).max(axis=2)
        return follows

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Follows the best chain back from its end."""
        ends = np.arange(max(self._count - _LONGEST, 0), self._count)
        rest = self._tempo[self._count] - self._tempo[ends + 1]
        near = (self._count - 1 - ends)[:, None] <= INTERVALS
        final = self._score[ends] + np.where(near, rest, -np.inf)[..., None]
        if not final.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        end, interval, place = np.unravel_index(int(final.argmax()), final.shape)
        frame = int(ends[end])
        chain = [(frame, int(_PLACE[place]))]
        while frame >= INTERVALS[interval]:
            frame -= int(INTERVALS[interval])
            change = np.abs(self._slope - self._slope[interval])[:, None]
            before = self._score[frame] - change + self._moves[:, place]
            interval, place = np.unravel_index(int(before.argmax()), before.shape)
            chain.append((frame, int(_PLACE[place])))
        frames, places = np.array(chain[::-1]).T
        return frames, places


def _moves(weights: Weights) -> np.ndarray:
    """The score of each step from one place in the bar to the next: [from, to]."""
    same = np.equal.outer(_METRE, _METRE)
    counted = same & np.equal.outer(_PLACE + 1, _PLACE)
    whole = (_METRE == _PLACE + 1)[:, None]
    cost = np.where(same, 0.0, weights.metre_change)
    cost = cost + np.where(whole, 0.0, weights.cut_bar)
    return np.where(_PLACE == 0, -cost, np.where(counted, 0.0, -np.inf))
