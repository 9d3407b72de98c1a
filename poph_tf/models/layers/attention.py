"""Multi-head self-attention along one axis of the note grid, with residual and norm.

PopH attends along pitch before the time axis, without a mask, because the layer sees
only the previous frame. After the pitch axis or in its place, a causal mask over pitch
lets the sampler draw pitch by pitch. Attention along time is causal, relative and
bounded; the sampler carries its cache of keys and values. Attention along one axis and
then the other (axial) needs memory for `time * pitch * (time + pitch)` weights; over
all cells at once it would need the square of `time * pitch`.

Sources: Vaswani et al. (2017), arXiv:1706.03762; Anokhin and Nuzhin, PopH (2018).
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.dropout import Dropout
from poph_tf.models.layers.features import side_by_side

# The logit of a masked source: its weight underflows to an exact 0 in float32.
MASKED = -1e9

Cache = tuple[Tensor, ...]


def attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention: softmax(query key^T / sqrt(units) + bias) value.

    The axis of heads precedes the axis of targets, so that both products read their
    operands without a transposition.

    Args:
        query: float [rows, heads, targets, units].
        key: float [rows, heads, sources, units].
        value: float [rows, heads, sources, units].
        bias: float that broadcasts to [rows, heads, targets, sources], or None.

    Returns:
        float [rows, heads, targets, units].

    Reference:
        Vaswani et al. (2017), equation 1, arXiv:1706.03762.
    """
    scale = tf.cast(query.shape[-1], query.dtype) ** -0.5
    logits = tf.matmul(query * scale, key, transpose_b=True)
    if bias is not None:
        logits += tf.cast(bias, logits.dtype)
    return tf.matmul(tf.nn.softmax(logits), value)


def distance_bias(table: Tensor, distance: Tensor) -> Tensor:
    """Looks up the bias of each pair of target and source by their distance.

    Args:
        table: float [heads, distances].
        distance: int32 [targets, sources]; a distance outside the table is masked.

    Returns:
        float32 [heads, targets, sources].

    Reference:
        Raffel et al., T5 (2020), section 2.1, arXiv:1910.10683; one bias per distance.
    """
    limit = table.shape[-1]
    inside = (distance >= 0) & (distance < limit)
    bias = tf.gather(
        tf.cast(table, tf.float32), tf.clip_by_value(distance, 0, limit - 1), axis=1
    )
    return tf.where(inside, bias, MASKED)


def distances(num_targets: Tensor, num_sources: Tensor) -> Tensor:
    """Returns target minus source, int32 [targets, sources]; both end together."""
    targets = tf.range(num_targets)[:, None] + num_sources - num_targets
    return targets - tf.range(num_sources)[None, :]


class SelfAttention(keras.layers.Layer):
    """Base of attention layers: projections, heads, residual, layer normalization.

    Args:
        num_heads: int. Number of heads.
        head_units: int. Width of each head.
        dropout: float. Dropout of the attention's output before the residual sum.
    """

    def __init__(
        self,
        num_heads: int = 4,
        head_units: int = 64,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_units = head_units
        self.dropout = dropout
        self.project_in = keras.layers.Dense(3 * num_heads * head_units, name="in")
        self.added_dropout = Dropout(dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")

    def build(self, x_shape: tuple) -> None:
        """Makes the projections for the features of x."""
        features = x_shape[-1]
        self.project_in.build((None, None, features))
        self.project_out = keras.layers.Dense(features, name="out")
        self.project_out.build((None, None, self.num_heads * self.head_units))
        self.norm.build((None, None, features))

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        return x_shape

    def heads(self, x: Tensor) -> list[Tensor]:
        """Projects x, float [rows, places, features], to query, key and value.

        Returns:
            Three float [rows, heads, places, units].
        """
        shape = tf.concat([tf.shape(x)[:-1], [3 * self.num_heads, self.head_units]], 0)
        projected = tf.reshape(self.project_in(x), shape)
        # tf.split copies; views would keep all three in memory for the backward pass.
        return tf.split(tf.transpose(projected, (0, 2, 1, 3)), 3, axis=1)

    def add(self, x: Tensor, heads: Tensor, training: bool | None = None) -> Tensor:
        """Joins the heads, projects them, adds them to x and normalizes the sum.

        Args:
            x: float [rows, places, features].
            heads: float [rows, heads, places, units].
            training: Whether to apply dropout.

        Returns:
            float [rows, places, features].
        """
        joined = side_by_side(tf.transpose(heads, (0, 2, 1, 3)))
        added = self.added_dropout(self.project_out(joined), training=training)
        return self.norm(x + added)


@keras.saving.register_keras_serializable(package="poph_tf")
class PitchAttention(SelfAttention):
    """Self-attention along pitch, in each step separately.

    Args:
        causal: bool. Whether a pitch sees only itself and the pitches before it.
        **kwargs: `num_heads`, `head_units`, `dropout` and the arguments of a layer.

    Input shape: `[batch, time, pitch, features]`.
    Output shape: `[batch, time, pitch, features]`.

    Example:
        >>> import numpy as np
        >>> layer, step = PitchAttention(causal=True), tf.eye(4)[None, None]
        >>> np.allclose(layer(step)[:, :, :2], layer(step[:, :, :2]))  # pitches above
        True

    Reference:
        Vaswani et al. (2017), section 3.2.2; Anokhin and Nuzhin, PopH (2018).
    """

    def __init__(self, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal = causal

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Attends over all pitches of each step."""
        rows = tf.reshape(x, (-1, *x.shape[2:]))
        bias = None
        if self.causal:
            visible = tf.linalg.band_part(tf.ones((x.shape[2],) * 2), -1, 0)
            bias = (1.0 - visible) * MASKED
        query, key, value = self.heads(rows)
        out = self.add(rows, attend(query, key, value, bias), training)
        return tf.reshape(out, tf.shape(x))

    def zero_state(self, num_rows: Tensor, num_pitches: int) -> Cache:
        """Returns the cache of keys and values before the first pitch."""
        shape = (num_pitches, num_rows, self.num_heads, self.head_units)
        return tf.zeros(shape), tf.zeros(shape)

    def step(self, x: Tensor, index: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """Runs one pitch of a causal layer.

        Args:
            x: float [rows, features], of pitch number `index`.
            index: int32 scalar, counted from the first pitch drawn.
            state: Keys and values, float [pitch, rows, heads, units].

        Returns:
            float [rows, features], and the next state.
        """
        query, key, value = self.heads(x[:, None])
        keys = tf.tensor_scatter_nd_update(state[0], [[index]], [key[:, :, 0]])
        values = tf.tensor_scatter_nd_update(state[1], [[index]], [value[:, :, 0]])
        hidden = tf.cast(tf.range(tf.shape(keys)[0]) > index, tf.float32) * MASKED
        order = (1, 2, 0, 3)
        seen = attend(
            query, tf.transpose(keys, order), tf.transpose(values, order), hidden
        )
        return self.add(x[:, None], seen)[:, 0], (keys, values)


@keras.saving.register_keras_serializable(package="poph_tf")
class TimeAttention(SelfAttention):
    """Causal self-attention along time over a bounded window, at each pitch separately.

    A step sees itself and the `max_steps - 1` steps before it, with a learned bias
    for each head and distance. Nothing precedes the first step of a piece.

    Args:
        max_steps: int. Steps in the window.
        **kwargs: `num_heads`, `head_units`, `dropout` and the arguments of a layer.

    Input shape: `[batch, time, pitch, features]`.
    Output shape: `[batch, time, pitch, features]`.

    Example:
        >>> import numpy as np
        >>> layer, piece = TimeAttention(max_steps=8), tf.eye(4)[None, :, None]
        >>> np.allclose(layer(piece)[:, :2], layer(piece[:, :2]))  # later steps
        True

    Reference:
        Vaswani et al. (2017), arXiv:1706.03762; the biases as in `distance_bias`.
    """

    def __init__(self, max_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_steps = max_steps

    def build(self, x_shape: tuple) -> None:
        """Makes the projections and the table of biases."""
        super().build(x_shape)
        self.distance_bias = self.add_weight(
            shape=(self.num_heads, self.max_steps),
            initializer="zeros",
            name="distance_bias",
        )

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Attends over all steps, from the start of a piece."""
        return self.scan(x, None, training)[0]

    def zero_state(self, num_rows: Tensor) -> Cache:
        """Returns an empty cache: keys, values, and which of its steps are valid."""
        kept = self.max_steps - 1
        shape = (num_rows, self.num_heads, kept, self.head_units)
        return tf.zeros(shape), tf.zeros(shape), tf.zeros((num_rows, kept))

    def scan(
        self, x: Tensor, state: Cache | None, training: bool | None = None
    ) -> tuple[Tensor, Cache | None]:
        """Attends over x and the cache of the steps before.

        Args:
            x: float [batch, time, pitch, features].
            state: Keys and values [batch * pitch, heads, steps, units] and their
                validity [batch * pitch, steps]; None at the start of a piece.
            training: Whether to apply dropout.

        Returns:
            float [batch, time, pitch, features], and the state after the last step
            (None if `state` is None; training does not need it).
        """
        by_pitch = tf.transpose(x, (0, 2, 1, 3))
        shape = tf.shape(by_pitch)
        rows = tf.reshape(by_pitch, (-1, shape[2], x.shape[-1]))
        query, key, value = self.heads(rows)
        bias: Any = 0.0
        if state is not None:
            key = tf.concat([state[0], tf.cast(key, state[0].dtype)], axis=2)
            value = tf.concat([state[1], tf.cast(value, state[1].dtype)], axis=2)
            valid = tf.concat([state[2], tf.ones(tf.shape(rows)[:2])], axis=1)
            past = tf.shape(valid)[1] - (self.max_steps - 1)
            state = key[:, :, past:], value[:, :, past:], valid[:, past:]
            # A mask for each row is large; only a cache that is partly empty needs it.
            bias = (1.0 - valid[:, None, None, :]) * MASKED
        steps_between = distances(shape[2], tf.shape(key)[2])
        bias += distance_bias(self.distance_bias, steps_between)
        out = self.add(rows, attend(query, key, value, bias), training)
        return tf.transpose(tf.reshape(out, shape), (0, 2, 1, 3)), state
