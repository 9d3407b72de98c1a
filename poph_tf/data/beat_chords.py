"""The chord of each beat, from the notes that sound in it."""

import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.theory import CHORD_KINDS, NUM_PITCH_CLASSES, STEPS_OF_BEAT

# A chord needs at least this share of notes inside it minus the share outside.
CLEAR = 0.2
# The lowest note says more about the root than the others.
LOWEST_IS_ROOT = 0.15


def find_chords(play: tf.Tensor, bar_position: tf.Tensor) -> tf.Tensor:
    """Finds the triad that best fits the notes of each beat.

    Args:
        play: [step, track, 128], above 0 where a note sounds.
        bar_position: int [step], steps since the bar line; beats count from it.

    Returns:
        int32 [step], below `NUM_CHORDS`: major, minor and diminished triads, each on C,
        C#, ...; -1 where none fits.
    """
    sounds = tf.cast(play > 0, tf.float32)
    notes = tf.reduce_sum(sounds, axis=1)
    classes = np.eye(NUM_PITCH_CLASSES, dtype=np.float32)
    classes = classes[np.arange(play.shape[2]) % NUM_PITCH_CLASSES]
    starts = bar_position % STEPS_OF_BEAT == 0
    beat = tf.cumsum(tf.cast(starts, tf.int32))
    beat -= beat[0]
    counts = tf.math.segment_sum(tf.matmul(notes, classes), beat)
    lowest = tf.one_hot(tf.argmax(notes > 0, axis=1), play.shape[2])
    lowest *= tf.cast(notes > 0, tf.float32)  # none in silence
    lowest = tf.math.segment_sum(tf.matmul(lowest, classes), beat)
    fit = tf.matmul(counts, theory.triads())
    fit /= tf.maximum(tf.reduce_sum(counts, axis=1, keepdims=True), 1.0)
    lowest /= tf.maximum(tf.reduce_sum(lowest, axis=1, keepdims=True), 1.0)
    found = tf.argmax(
        fit + LOWEST_IS_ROOT * tf.tile(lowest, (1, len(CHORD_KINDS))),
        axis=1,
        output_type=tf.int32,
    )
    clear = tf.gather(fit, found, batch_dims=1) >= CLEAR
    return tf.gather(tf.where(clear, found, -1), beat)
