"""`theory.find_key` in a TensorFlow graph."""

import tensorflow as tf

from poph_tf import theory


def find_key(
    play: tf.Tensor, first_pitch: int = 0, ended: tf.Tensor | bool = True
) -> tf.Tensor:
    """The key of a piece or melody, from its notes and how it begins or ends.

    Args:
        play: [time, pitch], above 0 where a pitch sounds.
        first_pitch: MIDI number.
        ended: False if the piece goes on, so that its last notes are not an ending.

    Returns:
        int32 scalar, 0..23; -1 if nothing sounds, or everything equally.
    """
    # A silent first row covers pieces without notes.
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
    heard = tf.reduce_any(sounds > 0, axis=1)
    last = tf.reduce_max(tf.where(heard, tf.range(num_steps), 0))
    first = tf.argmax(heard, output_type=tf.int32)
    lowest = tf.argmax(tf.gather(sounds, [first, last]), axis=1)
    endings = tf.constant(theory.key_endings(), tf.float32)
    said = tf.gather(endings, lowest % theory.NUM_PITCH_CLASSES)
    weights = tf.where(ended, (0.0, 1.0), (theory.FIRST_COUNTS, theory.LAST_COUNTS))
    fit += tf.linalg.matvec(said, weights, transpose_a=True)
    return tf.where(norm > 1e-6, tf.argmax(fit, output_type=tf.int32), theory.UNKNOWN)


def find_keys(
    play: tf.Tensor, first_pitch: int, bar_position: tf.Tensor | None = None
) -> tf.Tensor:
    """The keys of pieces, which have ended if they sound in their last bar.

    Args:
        play: [batch, time, track, pitch], above 0 where a pitch sounds.
        first_pitch: MIDI number.
        bar_position: [batch, time] of whole pieces; None: all pieces go on.

    Returns:
        int32 [batch], see `find_key`.
    """
    play = tf.reduce_max(play, axis=2)
    ended = tf.fill(tf.shape(play)[:1], False)
    if bar_position is not None:
        lines = tf.cast(bar_position == 0, tf.int32)
        lines_after = tf.cumsum(lines, axis=1, exclusive=True, reverse=True)
        sounds = tf.reduce_any(play > 0, axis=2)
        ended = tf.reduce_any(sounds & (lines_after == 0), axis=1)
    return tf.map_fn(
        lambda row: find_key(row[0], first_pitch, row[1]),
        (play, ended),
        fn_output_signature=tf.int32,
    )
