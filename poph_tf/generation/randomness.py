"""Random numbers that depend on (seed, step, pitch, track) and on nothing else.

Philox4x32-10, written in integer operations of the graph, gives the same bits with and
without XLA and in every batch. `host_randomness.py` computes them with NumPy.

Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011),
doi:10.1145/2063384.2063405, section 4.3 and its constants.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from poph_tf import theory
from poph_tf.generation.controls import Controls
from poph_tf.generation.host_randomness import (
    DRAWS,
    FORM_COUNTER,
    KEY_COUNTER,
    MULTIPLIERS,
    ROUNDS,
    WEYL,
)


def philox(
    counter: Sequence[tf.Tensor], key: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, ...]:
    """The Philox4x32-10 block function.

    Args:
        counter: four uint32 tensors whose shapes broadcast.
        key: two uint32 tensors whose shapes broadcast with them.

    Returns:
        Four uint32 tensors of the common shape.
    """
    words = (*counter, *key)
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, words))
    c0, c1, c2, c3, k0, k1 = (tf.broadcast_to(word, shape) for word in words)
    xor = tf.bitwise.bitwise_xor
    for _ in range(ROUNDS):
        high0, low0 = _multiply(c0, MULTIPLIERS[0])
        high1, low1 = _multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = xor(xor(high1, c1), k0), low1, xor(xor(high0, c3), k1), low0
        k0, k1 = (
            k + tf.constant(w, tf.uint32) for k, w in zip((k0, k1), WEYL, strict=True)
        )
    return c0, c1, c2, c3


def uniforms(
    seed: tf.Tensor, step: tf.Tensor, num_pitches: int, track: int = 0
) -> tf.Tensor:
    """Random numbers for one step of each piece.

    Args:
        seed: int32 [batch, 2]. The seed of each piece.
        step: int32 [batch]. The step of each piece, counted from its start.
        num_pitches: number of pitches that need numbers.
        track: the index of the track in the model.

    Returns:
        float32 [batch, pitch, 2] in [0, 1), multiples of 2**-24.
    """
    key = tf.unstack(tf.bitcast(seed, tf.uint32)[:, None, :], axis=-1)
    steps = tf.bitcast(step, tf.uint32)[:, None]
    pitches = tf.cast(tf.range(num_pitches), tf.uint32)[None, :]
    zero = tf.zeros_like(steps)
    bits = philox((steps, pitches, zero + track, zero), key)[:DRAWS]
    return tf.stack([_to_unit(draw) for draw in bits], axis=-1)


def keys(seed: tf.Tensor) -> tf.Tensor:
    """`host_randomness.keys` in the graph: int32 [batch] of int32 [batch, 2]."""
    words = tf.unstack(tf.bitcast(seed, tf.uint32), axis=-1)
    zero = tf.zeros_like(words[0])
    first, *_ = philox((zero, zero, zero, zero + KEY_COUNTER), words)
    top = tf.cast(tf.bitwise.right_shift(first, tf.constant(8, tf.uint32)), tf.int32)
    return tf.bitwise.right_shift(top * theory.NUM_KEYS, 24)


def form_numbers(seed: tf.Tensor, num_bars: tf.Tensor) -> tf.Tensor:
    """`host_randomness.form_numbers` in the graph: int64 [batch, bar, 2]."""
    words = tf.unstack(tf.bitcast(seed, tf.uint32)[:, None], axis=-1)
    bars = tf.cast(tf.range(num_bars), tf.uint32)[None]
    zero = tf.zeros_like(bars)
    bits = philox((bars, zero, zero, zero + FORM_COUNTER), words)[:DRAWS]
    top = tf.bitwise.right_shift(tf.stack(bits, axis=-1), tf.constant(8, tf.uint32))
    return tf.cast(top, tf.int64)


def choose(probability: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Draws a value by inverse transform sampling.

    Args:
        probability: float32 [batch, value], up to a factor.
        number: float32 [batch] in [0, 1).

    Returns:
        int32 [batch].
    """
    edges = tf.cumsum(probability, axis=1)
    passed = edges <= number[:, None] * edges[:, -1:]
    return tf.reduce_sum(tf.cast(passed, tf.int32), axis=1)


def of_step(
    controls: Controls, step: tf.Tensor, num_pitches: int, track: int = 0
) -> tf.Tensor:
    """The numbers in the controls of a step, or else those of their seed."""
    if controls.numbers is None:
        return uniforms(controls.seed, step, num_pitches, track)
    return controls.numbers[:, track, :num_pitches]


def _multiply(a: tf.Tensor, constant: int) -> tuple[tf.Tensor, tf.Tensor]:
    """High and low halves of the 64-bit product of uint32 `a` and a constant."""
    product = tf.cast(a, tf.uint64) * tf.constant(constant, tf.uint64)
    high = tf.bitwise.right_shift(product, tf.constant(32, tf.uint64))
    low = tf.bitwise.bitwise_and(product, tf.constant(0xFFFFFFFF, tf.uint64))
    return tf.cast(high, tf.uint32), tf.cast(low, tf.uint32)


def _to_unit(bits: tf.Tensor) -> tf.Tensor:
    """The top 24 bits as a float32 in [0, 1), exact under every compiler."""
    top = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))
    return tf.cast(tf.cast(top, tf.int32), tf.float32) * 2.0**-24
