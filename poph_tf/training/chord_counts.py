"""Counts how chords follow each other in the music that a model is trained on."""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from poph_tf.config.tracks import Track
from poph_tf.data import beat_chords, keys
from poph_tf.data.examples import Piece
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.chord_progression import (
    NUM_DEGREES,
    NUM_MODES,
    ChordProgression,
)
from poph_tf.models.track_network import NUM_PLACES, place_of
from poph_tf.theory import CHORD_KINDS, NUM_PITCH_CLASSES, STEPS_OF_BEAT

# More pieces change the tables little.
MOST_PIECES = 2000
# A table counts as much as so many chords beside those seen in a finer one.
WEIGHT = 5.0
# A note of a chord that was never seen.
SELDOM = 1e-3


def count(
    progression: ChordProgression, tracks: Sequence[Track], pieces: Iterable[Piece]
) -> None:
    """Fills the tables of a chord progression.

    Args:
        progression: of a model that draws chords.
        tracks: of the model.
        pieces: those that it is trained on.
    """
    tracks = [track for track in tracks if not track.is_drum]
    follow = np.zeros((NUM_MODES, NUM_PLACES, NUM_DEGREES, NUM_DEGREES))
    first = np.zeros((NUM_MODES, NUM_DEGREES))
    notes = np.zeros((len(CHORD_KINDS) + 1, NUM_PITCH_CLASSES))
    find = tf.function(beat_chords.find_chords, reduce_retracing=True)
    for piece in pieces:
        music = piece.matrices
        play = music.stack(tracks)[..., 0].astype(np.float32)
        key = keys.find_key(tf.reduce_max(play, axis=1))
        if key < 0:
            continue
        position = music.bar_position.astype(np.int32)
        chords = find(tf.constant(play), tf.constant(position))
        degrees = chord_progression.degree_of(chords, key).numpy()
        _add_notes(notes, chords.numpy(), play.sum(axis=1))
        place = place_of(music.bars_left, position).numpy()
        mode = int(key) // NUM_PITCH_CLASSES
        beats = np.flatnonzero(position % STEPS_OF_BEAT == 0)
        if len(beats):
            first[mode, degrees[beats[0]]] += 1
        np.add.at(
            follow[mode],
            (place[beats[1:]], degrees[beats[:-1]], degrees[beats[1:]]),
            1,
        )
    progression.transitions.assign(np.log(_smoothed(follow, first)))
    shares = (notes + SELDOM) / (notes + SELDOM).sum(axis=1, keepdims=True)
    progression.notes.assign(np.log(np.maximum(shares, SELDOM)))


def _add_notes(counts: np.ndarray, chords: np.ndarray, notes: np.ndarray) -> None:
    """Adds how far the notes [step, pitch] lie above the root, by kind of chord."""
    kind = np.where(chords >= 0, chords // NUM_PITCH_CLASSES, len(CHORD_KINDS))
    root = np.where(chords >= 0, chords % NUM_PITCH_CLASSES, 0)
    steps, pitches = np.nonzero(notes)
    above = (pitches - root[steps]) % NUM_PITCH_CLASSES
    np.add.at(counts, (kind[steps], above), notes[steps, pitches])


def _smoothed(follow: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Probabilities, also of what was seldom seen.

    A place in the last bars has few examples of each chord: there chords follow each
    other as everywhere, moved by how often each stands in that place.

    Args:
        follow: [mode, place, degree before, degree], counts.
        first: [mode, degree], of the first beats.

    Returns:
        float32 [mode * place, 1 + degree before, degree].
    """
    shares = _mixed(follow.sum(axis=(1, 2)), 1 / NUM_DEGREES)
    everywhere = _mixed(follow.sum(axis=1), shares[:, None])[:, None]
    here = _mixed(follow.sum(axis=2), shares[:, None])
    expected = everywhere * (here / shares[:, None])[:, :, None]
    expected /= expected.sum(axis=3, keepdims=True)
    found = _mixed(follow, expected)
    begins = _mixed(np.repeat(first[:, None], NUM_PLACES, 1), here)
    both = np.concatenate([begins[:, :, None], found], axis=2)
    return both.reshape(-1, 1 + NUM_DEGREES, NUM_DEGREES).astype(np.float32)


def _mixed(counts: np.ndarray, prior: np.ndarray | float) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return (counts + WEIGHT * prior) / (total + WEIGHT)
