"""`form.drawn` in the graph."""

import tensorflow as tf

from poph_tf.generation import form, randomness


def drawn(seed: tf.Tensor, num_bars: tf.Tensor) -> tf.Tensor:
    """Draws a form for each piece.

    Args:
        seed: int32 [batch, 2].
        num_bars: int32 scalar, bars of the longest piece.

    Returns:
        int32 [batch, bar], bars from each bar back to its model; 0: none.
    """
    goes_on, begins, shares = (tf.constant(table) for table in form.tables())
    numbers = randomness.form_numbers(seed, num_bars)
    new = tf.zeros_like(seed[:, 0], tf.int64)

    def draw(
        bar: tf.Tensor, before: tf.Tensor, length: tf.Tensor, back: tf.TensorArray
    ) -> tuple[tf.Tensor, ...]:
        first, second = tf.unstack(numbers[:, bar], axis=-1)
        run = tf.minimum(length, tf.size(goes_on, tf.int64) - 1)
        last = tf.minimum(bar, tf.size(shares) - 1)
        stays = first < tf.gather(goes_on, run)
        starts = first < tf.gather(begins[:, last], run)
        number = second * shares[last] // form.ONE
        distance = tf.searchsorted(shares, number, side="right", out_type=tf.int64)
        after = tf.where(stays, before, tf.where(starts, distance, 0))
        goes = stays | (starts & (distance == before))
        length = tf.where(goes, length + 1, tf.cast(starts, tf.int64))
        return bar + 1, after, length, back.write(bar, after)

    back = tf.TensorArray(tf.int64, num_bars, element_shape=new.shape)
    *_, back = tf.while_loop(
        lambda bar, *_: bar < num_bars, draw, (1, new, new, back.write(0, new))
    )
    return tf.cast(tf.transpose(back.stack()), tf.int32)
