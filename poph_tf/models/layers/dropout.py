"""Dropout whose masks cost little: a byte of random bits for each cell.

Keras draws a float for each cell, which on CPU costs a training step a tenth of its
time. A byte says just as well whether a cell is dropped, to 1/256 of the rate.
"""

import keras
import tensorflow as tf

# What a byte can say; and how many of them the generator gives in one word.
LEVELS, BYTES = 256, 4


@keras.saving.register_keras_serializable(package="poph_tf")
class Dropout(keras.layers.Dropout):
    """Sets cells to 0 at random in training, and scales the others up for it.

    The rate is rounded to a multiple of 1/256; what is kept is scaled by the inverse
    of the share that is really kept, so that the mean stays.

    Args:
        rate: float, 0 to below 1. Share of the cells to drop.

    Call arguments:
        x: float, of any shape.
        training: bool. Whether to drop at all.

    Returns:
        float, of the same shape.

    Reference:
        Srivastava et al. (2014), JMLR 15.
    """

    def call(self, x, training=False):
        # Of a rate close to 1 something must be kept.
        dropped = min(round(self.rate * LEVELS), LEVELS - 1)
        if not training or not dropped:
            return x
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        kept = random_bytes(tf.shape(x), seed) >= tf.constant(dropped, tf.uint8)
        return x * (tf.cast(kept, x.dtype) * (LEVELS / (LEVELS - dropped)))


def random_bytes(shape, seed):
    """Uniform uint8 of a shape (an int32 vector) from a seed, int32 [2]."""
    count = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [(count + BYTES - 1) // BYTES], seed, None, None, tf.uint32, alg="philox"
    )
    flat = tf.reshape(tf.bitcast(words, tf.uint8), [-1])
    return tf.reshape(flat[:count], shape)
