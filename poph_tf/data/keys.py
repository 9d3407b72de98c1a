"""`theory.find_key` in the graph."""

import tensorflow as tf

from poph_tf import theory


def find_key(play: tf.Tensor, first_pitch: int = 0) -> tf.Tensor:
    """The key of a piece or melody, by its notes and by how it ends.

    Args:
        play: [time, pitch], above 0 where a pitch sounds.
        first_pitch: MIDI number.

    Returns:
        int32 scalar, 0..23; -1 where nothing, or everything alike, sounds.
    """
    # A silent row before all others stands for a piece without notes.
    sounds = tf.pad(tf.cast(play > 0, tf.float32), [[1, 0], [first_pitch, 0]])
    num_steps, num_pitches = tf.shape(sounds)[0], sounds.shape[1]
    octaves = -(-num_pitches // theory.NUM_PITCH_CLASSES)
    missing = octaves * theory.NUM_PITCH_CLASSES - num_pitches
    by_pitch = tf.pad(tf.reduce_sum(sounds, axis=0), [[0, missing]])
    by_octave = tf.reshape(by_pitch, (octaves, theory.NUM_PITCH_CLASSES))
    counts = tf.reduce_sum(by_octave, axis=0)
    counts -= tf.reduce_mean(counts)
    norm = tf.norm(counts)
    profiles = tf.constant(theory.key_profiles(), tf.float32)
    fit = tf.linalg.matvec(profiles, counts / tf.maximum(norm, 1e-6))
    last = tf.where(tf.reduce_any(sounds > 0, axis=1), tf.range(num_steps), 0)
    lowest = tf.argmax(sounds[tf.reduce_max(last)], output_type=tf.int32)
    endings = tf.constant(theory.key_endings(), tf.float32)
    fit += endings[lowest % theory.NUM_PITCH_CLASSES]
    return tf.where(norm > 1e-6, tf.argmax(fit, output_type=tf.int32), theory.UNKNOWN)
