"""Multi-head self-attention along one axis of the roll, with residual and norm.

PopH attends along pitch before the time axis, unmasked, since it sees the previous
frame only. Where it comes after the pitch axis, or in its place, a causal mask over
pitch lets the sampler draw from it. Attention along time is causal, relative and
bounded; its cache is what the sampler carries. Axial, one axis and then the other,
it needs memory for `time * pitch * (time + pitch)` weights instead of the square of
the whole plane, which ran out of memory for PopH's authors.

Sources: Vaswani et al. (2017), arXiv:1706.03762; Anokhin and Nuzhin, PopH (2018).
"""

import keras
import tensorflow as tf

from poph_tf.models.layers.dropout import Dropout

# What a masked logit is set to: its weight underflows to an exact 0 in float32.
MASKED = -1e9


def attend(query, key, value, bias=None):
    """Scaled dot-product attention.

    Heads come before places, so that both products read their operands as they lie.

    Args:
        query: float [rows, heads, targets, units].
        key, value: float [rows, heads, sources, units].
        bias: float that broadcasts to [rows, heads, targets, sources], or None.

    Returns:
        float [rows, heads, targets, units].
    """
    scale = tf.cast(query.shape[-1], query.dtype) ** -0.5
    logits = tf.matmul(query * scale, key, transpose_b=True)
    if bias is not None:
        logits += tf.cast(bias, logits.dtype)
    return tf.matmul(tf.nn.softmax(logits), value)


@keras.saving.register_keras_serializable(package="poph_tf")
class SelfAttention(keras.layers.Layer):
    """What both axes share: projections, heads, residual, layer normalization.

    Args:
        num_heads: int.
        head_units: int. Width of each head.
        dropout: float. Dropout on what attention adds.
    """

    def __init__(self, num_heads=4, head_units=64, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_units = head_units
        self.dropout = dropout
        self.project_in = keras.layers.Dense(3 * num_heads * head_units, name="in")
        self.added_dropout = Dropout(dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")

    def build(self, x_shape):
        features = x_shape[-1]
        self.project_in.build((None, None, features))
        self.project_out = keras.layers.Dense(features, name="out")
        self.project_out.build((None, None, self.num_heads * self.head_units))
        self.norm.build((None, None, features))
        self.built = True

    def heads(self, x):
        """Query, key and value of float [rows, places, features].

        Returns:
            list of three float [rows, heads, places, units].
        """
        shape = tf.concat([tf.shape(x)[:-1], [3 * self.num_heads, self.head_units]], 0)
        projected = tf.reshape(self.project_in(x), shape)
        # Each a tensor of its own: views would keep all three for the backward pass.
        return tf.split(tf.transpose(projected, (0, 2, 1, 3)), 3, axis=1)

    def add(self, x, heads, training=None):
        """Joins the heads to the residual stream.

        Args:
            x: float [rows, places, features].
            heads: float [rows, heads, places, units].

        Returns:
            float [rows, places, features].
        """
        width = self.num_heads * self.head_units
        shape = tf.concat([tf.shape(x)[:-1], [width]], 0)
        joined = tf.reshape(tf.transpose(heads, (0, 2, 1, 3)), shape)
        added = self.added_dropout(self.project_out(joined), training=training)
        return self.norm(x + added)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "head_units": self.head_units,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="poph_tf")
class PitchAttention(SelfAttention):
    """Self-attention along pitch, step by step.

    Args:
        causal: bool. Whether pitch n sees pitches up to n only.
        num_heads, head_units, dropout: See `SelfAttention`.

    Call arguments:
        x: float [batch, time, pitch, features].

    Returns:
        float [batch, time, pitch, features].

    Reference:
        Vaswani et al. (2017), section 3.2.2; Anokhin and Nuzhin, PopH (2018).
    """

    def __init__(self, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.causal = causal

    def call(self, x, training=None):
        rows = tf.reshape(x, (-1, *x.shape[2:]))
        bias = None
        if self.causal:
            visible = tf.linalg.band_part(tf.ones((x.shape[2],) * 2), -1, 0)
            bias = (1.0 - visible) * MASKED
        out = self.add(rows, attend(*self.heads(rows), bias), training)
        return tf.reshape(out, tf.shape(x))

    def zero_state(self, num_rows, num_pitches):
        """The cache of keys and values before the first pitch."""
        shape = (num_pitches, num_rows, self.num_heads, self.head_units)
        return tf.zeros(shape), tf.zeros(shape)

    def step(self, x, index, state):
        """One pitch of the walk, causal layers only.

        Args:
            x: float [rows, features] at pitch number `index`.
            index: int32 scalar, counted from the first pitch walked.
            state: pair of float [pitch, rows, heads, units].

        Returns:
            (float [rows, features], the state after it).
        """
        query, key, value = self.heads(x[:, None])
        keys = tf.tensor_scatter_nd_update(state[0], [[index]], [key[:, :, 0]])
        values = tf.tensor_scatter_nd_update(state[1], [[index]], [value[:, :, 0]])
        hidden = tf.cast(tf.range(tf.shape(keys)[0]) > index, tf.float32) * MASKED
        lay = (1, 2, 0, 3)
        seen = attend(query, tf.transpose(keys, lay), tf.transpose(values, lay), hidden)
        return self.add(x[:, None], seen)[:, 0], (keys, values)

    def get_config(self):
        return {**super().get_config(), "causal": self.causal}


@keras.saving.register_keras_serializable(package="poph_tf")
class TimeAttention(SelfAttention):
    """Causal self-attention along time, pitch by pitch, over a bounded window.

    A step sees itself and the `max_steps - 1` steps before it, with a learned bias
    for each head and distance. At the start of a piece there is nothing more to see.

    Args:
        max_steps: int. Steps in the window.
        num_heads, head_units, dropout: See `SelfAttention`.

    Call arguments:
        x: float [batch, time, pitch, features].

    Returns:
        float [batch, time, pitch, features].

    Reference:
        Vaswani et al. (2017); relative biases after Raffel et al., T5 (2020),
        arXiv:1910.10683, one for each distance.
    """

    def __init__(self, max_steps, **kwargs):
        super().__init__(**kwargs)
        self.max_steps = max_steps

    def build(self, x_shape):
        super().build(x_shape)
        self.distance_bias = self.add_weight(
            shape=(self.num_heads, self.max_steps),
            initializer="zeros",
            name="distance_bias",
        )

    def call(self, x, training=None):
        return self.scan(x, None, training)[0]

    def zero_state(self, num_rows):
        """An empty cache: keys and values [rows, steps, ...], and which are valid."""
        kept = self.max_steps - 1
        shape = (num_rows, self.num_heads, kept, self.head_units)
        return tf.zeros(shape), tf.zeros(shape), tf.zeros((num_rows, kept))

    def scan(self, x, state, training=None):
        """Attends over `x` and the cache of what came before it.

        Args:
            x: float [batch, time, pitch, features].
            state: keys and values [batch * pitch, heads, steps, units] and their
                validity [batch * pitch, steps]; None for the start of a piece.

        Returns:
            (float [batch, time, pitch, features], the state after the last step; None
            where none came in, since training has no use for it).
        """
        by_pitch = tf.transpose(x, (0, 2, 1, 3))
        shape = tf.shape(by_pitch)
        rows = tf.reshape(by_pitch, (-1, shape[2], x.shape[-1]))
        query, key, value = self.heads(rows)
        bias = 0.0
        if state is not None:
            key, value = (
                tf.concat([old, tf.cast(new, old.dtype)], axis=2)
                for old, new in zip(state[:2], (key, value), strict=True)
            )
            valid = tf.concat([state[2], tf.ones(tf.shape(rows)[:2])], axis=1)
            past = tf.shape(valid)[1] - (self.max_steps - 1)
            state = key[:, :, past:], value[:, :, past:], valid[:, past:]
            # Row by row: large, and only needed where a cache may be partly empty.
            bias = (1.0 - valid[:, None, None, :]) * MASKED
        bias += self._bias(shape[2], tf.shape(key)[2])
        out = self.add(rows, attend(query, key, value, bias), training)
        return tf.transpose(tf.reshape(out, shape), (0, 2, 1, 3)), state

    def _bias(self, num_targets, num_sources):
        """Bias by distance, MASKED beyond the window: [heads, targets, sources]."""
        targets = tf.range(num_targets)[:, None] + num_sources - num_targets
        return distance_bias(
            self.distance_bias, targets - tf.range(num_sources)[None, :]
        )

    def get_config(self):
        return {**super().get_config(), "max_steps": self.max_steps}


def distance_bias(table, distance):
    """Looks a bias up by distance.

    Args:
        table: float [heads, distances].
        distance: int32 [targets, sources]; what is outside 0..distances-1 is masked.

    Returns:
        float32 [heads, targets, sources].
    """
    limit = table.shape[-1]
    inside = (distance >= 0) & (distance < limit)
    bias = tf.gather(
        tf.cast(table, tf.float32), tf.clip_by_value(distance, 0, limit - 1), axis=1
    )
    return tf.where(inside, bias, MASKED)
