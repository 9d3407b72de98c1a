"""Random numbers that depend on (seed, step, pitch) and on nothing else.

Philox4x32-10, written with integer operations of the graph: the same bits with and
without XLA, in every batch, and in runtimes that lack TensorFlow's stateless random
operations.

Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011),
doi:10.1145/2063384.2063405, section 4.3 and its constants.
"""

import tensorflow as tf

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
DRAWS = 2  # numbers for each pitch: one for play, one for replay


def philox(counter, key):
    """The Philox4x32-10 block function.

    Args:
        counter: four uint32 tensors of shapes that broadcast.
        key: two uint32 tensors of shapes that broadcast with them.

    Returns:
        four uint32 tensors.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _multiply(c0, MULTIPLIERS[0])
        high1, low1 = _multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = _xor(high1, c1, k0), low1, _xor(high0, c3, k1), low0
        k0, k1 = (
            k0 + tf.constant(WEYL[0], tf.uint32),
            k1 + tf.constant(WEYL[1], tf.uint32),
        )
    return c0, c1, c2, c3


def uniforms(seed, step, num_pitches):
    """Numbers for one step of each piece.

    Args:
        seed: int32 [batch, 2], the seed of each piece.
        step: int32 [batch], its absolute step.
        num_pitches: int.

    Returns:
        float32 [batch, pitch, 2] in [0, 1), multiples of 2**-24.
    """
    key = tf.unstack(tf.bitcast(seed, tf.uint32)[:, None, :], axis=-1)
    steps = tf.bitcast(step, tf.uint32)[:, None]
    pitches = tf.range(num_pitches)
    pitches = tf.cast(pitches, tf.uint32)[None, :]
    zero = tf.zeros_like(steps)
    bits = philox((steps, pitches, zero, zero), key)[:DRAWS]
    shape = tf.stack([tf.shape(seed)[0], num_pitches])
    draws = [tf.broadcast_to(_to_unit(draw), shape) for draw in bits]
    return tf.stack(draws, axis=-1)


def _multiply(a, constant):
    """High and low halves of the 64-bit product of uint32 `a` and a constant."""
    product = tf.cast(a, tf.uint64) * tf.constant(constant, tf.uint64)
    high = tf.bitwise.right_shift(product, tf.constant(32, tf.uint64))
    return tf.cast(high, tf.uint32), tf.cast(
        tf.bitwise.bitwise_and(product, tf.constant(0xFFFFFFFF, tf.uint64)), tf.uint32
    )


def _xor(a, b, c):
    shape = tf.broadcast_dynamic_shape(tf.shape(a), tf.shape(b))
    shape = tf.broadcast_dynamic_shape(shape, tf.shape(c))
    a, b, c = (tf.broadcast_to(x, shape) for x in (a, b, c))
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(a, b), c)


def _to_unit(bits):
    """The top 24 bits as a float32 in [0, 1): exact, whatever compiles it."""
    top = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))
    return tf.cast(tf.cast(top, tf.int32), tf.float32) * 2.0**-24
