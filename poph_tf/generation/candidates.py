"""Candidates: which of several versions of a piece is kept.

`likelihood` keeps the one that the model itself finds likeliest (temperature 1, no
controls; play and replay). Beware: the likeliest is not the best. Held chords,
repetition and silence are always likely, so the likeliest of many candidates is a tame
one. `key` keeps the one with the smallest share of notes outside a key.
"""

import numpy as np

from poph_tf import theory
from poph_tf.generation.request import Request


def best(
    cells: np.ndarray, log_likelihood: np.ndarray, request: Request, min_pitch: int
) -> np.ndarray:
    """Chooses one candidate of each piece.

    Args:
        cells: uint8 [candidate, step, (track,) pitch, channel], piece-major.
        log_likelihood: float [candidate], nats of the whole piece.
        request: says how to choose.
        min_pitch: MIDI pitch of the first of `cells`.

    Returns:
        int [piece], indices into `cells`; the first in case of ties.
    """
    score = log_likelihood
    if request.best_by == "key":
        play = cells[..., 0]
        if play.ndim > 3:
            play = play.max(axis=2)
        score = -out_of_key(play, min_pitch, request.key_outside)
    chosen = np.argmax(np.reshape(score, (-1, request.num_candidates)), axis=1)
    return np.arange(len(chosen)) * request.num_candidates + chosen


def out_of_key(
    play: np.ndarray, min_pitch: int, outside: np.ndarray | None = None
) -> np.ndarray:
    """Share of sounding cells outside a key.

    Args:
        play: [piece, step, pitch], 0 or 1.
        min_pitch: MIDI number of the first pitch.
        outside: float [12], 1 outside the key (see `theory.key_outside`); None: the
            best-fitting major scale of each piece.

    Returns:
        float [piece], 0 for a piece without notes.

    Example:
        >>> play = np.ones((1, 1, 4), np.uint8)  # C, C#, D, Eb
        >>> out_of_key(play, 60, theory.key_outside("C major")).tolist()
        [0.5]
    """
    sounding = play.sum(axis=1, dtype=np.int64)
    counts = np.array([theory.class_counts(row, min_pitch) for row in sounding])
    if outside is None:
        return np.array([theory.out_of_key_share(row) for row in counts])
    return counts @ outside / np.maximum(counts.sum(axis=1), 1.0)
