"""Draws what is given in a training window: notes that a user might fix.

In about half of the windows nothing is given. In the others, what is given is, with
equal probability, some of the tracks throughout (harmonize, accompany), some of the
bars in all tracks (continue, infill) or some of the tracks in some of the bars (vary,
redraw).
"""

import tensorflow as tf

NOTHING = 0.5
_KINDS = 3


def draw(bar_position: tf.Tensor, num_tracks: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws which cells are given.

    Args:
        bar_position: uint8 [time].
        num_tracks: number of tracks of the model.
        seed: int64 [2].

    Returns:
        float32 [time, track], 1 where given.
    """
    bar = tf.cumsum(tf.cast(tf.equal(bar_position, 0), tf.int32))
    bar -= bar[0]
    num_bars = bar[-1] + 1
    seeds = tf.unstack(tf.random.split(seed, 5))
    kinds = tf.stack([
        tf.broadcast_to(_some(num_tracks, seeds[0]), [num_bars, num_tracks]),
        tf.broadcast_to(_bars(num_bars, seeds[1])[:, None], [num_bars, num_tracks]),
        _scattered(num_bars, num_tracks, seeds[2]),
    ])  # fmt: skip
    # A single track would have nothing left to compose if all of it were given.
    first = 0 if num_tracks > 1 else 1
    kind = tf.random.stateless_uniform([], seeds[3], first, _KINDS, tf.int32)
    is_some = tf.random.stateless_uniform([], seeds[4]) >= NOTHING
    return tf.gather(tf.cast(kinds[kind] & is_some, tf.float32), bar)


def _some(count: int, seed: tf.Tensor) -> tf.Tensor:
    """Bool [count]: a random number of them, from 1 to all but one."""
    first, second = tf.unstack(tf.random.split(seed, 2))
    order = tf.argsort(tf.random.stateless_uniform([count], first))
    most = tf.maximum(count, 2)
    return order < tf.random.stateless_uniform([], second, 1, most, tf.int32)


def _bars(num_bars: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Bool [num_bars]: all but one gap in half of the draws, otherwise random bars."""
    seeds = tf.unstack(tf.random.split(seed, 5))
    start = tf.random.stateless_uniform([], seeds[0], 0, num_bars, tf.int32)
    stop = tf.random.stateless_uniform([], seeds[1], start + 1, num_bars + 1, tf.int32)
    bar = tf.range(num_bars)
    around = (bar < start) | (bar >= stop)
    rate = tf.random.stateless_uniform([], seeds[2])
    scattered = tf.random.stateless_uniform([num_bars], seeds[3]) < rate
    return tf.where(tf.random.stateless_uniform([], seeds[4]) < 0.5, around, scattered)


def _scattered(num_bars: tf.Tensor, num_tracks: int, seed: tf.Tensor) -> tf.Tensor:
    """Bool [num_bars, num_tracks]: each with a probability drawn for the window."""
    first, second = tf.unstack(tf.random.split(seed, 2))
    rate = tf.random.stateless_uniform([], first)
    return tf.random.stateless_uniform([num_bars, num_tracks], second) < rate
