"""Drafts: which of several pieces drawn alike is kept.

By likelihood the one whose steps the model itself finds likeliest (temperature 1,
unsteered; play and replay). Beware: what is likeliest is not what is best. Held
chords, repetition and silence are always likely, so of many drafts the likeliest is a
tame one. By key the one with the smallest share of notes outside a key.
"""

import numpy as np

from poph_tf import theory
from poph_tf.generation import controls


def best(cells, log_likelihood, wishes, config):
    """Chooses one draft of each piece.

    Args:
        cells: uint8 [piece * draft, time, pitch, 3], drafts of a piece together.
        log_likelihood: float [piece * draft], nats of the whole piece.
        wishes: GenerationConfig, of which `best_of`, `best_by` and `key` count.
        config: ModelConfig.

    Returns:
        int [piece], rows of `cells`; of equals the first.
    """
    score = log_likelihood
    if wishes.best_by == "key":
        score = -out_of_key(cells[..., 0], config.min_pitch, wishes.key)
    chosen = np.argmax(np.reshape(score, (-1, wishes.best_of)), axis=1)
    return np.arange(len(chosen)) * wishes.best_of + chosen


def out_of_key(play, min_pitch, key=""):
    """Share of sounding cells outside a key.

    Args:
        play: [piece, time, pitch], pitches from `min_pitch` on.
        min_pitch: int.
        key: str, as `steering.key_outside` reads it; "" or "auto": the best-fitting
            major scale of each piece.

    Returns:
        float [piece], 0 for a piece without notes.
    """
    sounding = play.sum(axis=1, dtype=np.int64)
    counts = np.array([theory.class_counts(row, min_pitch) for row in sounding])
    if not key or key == controls.AUTO_KEY:
        return np.array([theory.out_of_key_share(row) for row in counts])
    outside = counts @ theory.key_outside(key)
    return outside / np.maximum(counts.sum(axis=1), 1.0)
