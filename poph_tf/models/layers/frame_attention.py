"""Attention along time by frames: recalls what sounded where the music was alike.

Queries and keys are pooled over pitches, so one set of weights over time serves all
pitches, at 1/pitches of the cost of attention pitch by pitch. The values are the
frames themselves, pitch by pitch: what is recalled arrives at its pitch, and the whole
commutes with transposition. A repeated phrase can be copied from.
"""

import keras
import tensorflow as tf

from poph_tf.models.layers.attention import MASKED, distance_bias

# Each head recalls two numbers: whether a pitch sounded, and whether it was struck.
CHANNELS = 2


@keras.saving.register_keras_serializable(package="poph_tf")
class FrameAttention(keras.layers.Layer):
    """Joins to each cell what earlier frames had at its pitch.

    At step t the hidden features, pooled over pitches, ask for steps s < t whose own
    pooled features were alike; each head returns frame s of the best matches. A null
    place with logit 0 and nothing in it lets a head abstain.

    Args:
        max_steps: int. How many steps back it can look.
        num_heads: int.
        head_units: int. Width of queries and keys.
        place_first: bool. Whether `x`, `previous` and what comes back are [time,
            batch, pitch, ...], as the LSTMs along time have them.

    Call arguments:
        x: float [batch, time, pitch, features], the time axis' output at steps t.
        previous: float [batch, time, pitch, channel], frames t - 1, play first and
            replay second if there is one.

    Returns:
        float [batch, time, pitch, features + 2 * num_heads].
    """

    def __init__(
        self, max_steps, num_heads=4, head_units=32, place_first=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.max_steps = max_steps
        self.place_first = place_first
        self.num_heads = num_heads
        self.head_units = head_units
        width = num_heads * head_units
        self.ask = keras.layers.Dense(width, name="query")
        self.tell = keras.layers.Dense(width, name="key")

    def build(self, x_shape, previous_shape):
        self.ask.build((None, None, 2 * x_shape[-1]))
        self.tell.build((None, None, 2 * x_shape[-1]))
        self.distance_bias = self.add_weight(
            shape=(self.num_heads, self.max_steps),
            initializer="zeros",
            name="distance_bias",
        )
        self.built = True

    def call(self, x, previous):
        return self.scan(x, previous, None)[0]

    def zero_state(self, batch_size, num_pitches):
        """Before the first step: an empty cache, no pending key, a silent frame."""
        keys = (batch_size, self.max_steps, self.num_heads, self.head_units)
        values = (batch_size, self.max_steps, num_pitches, CHANNELS)
        return {
            "keys": tf.zeros(keys),
            "values": tf.zeros(values),
            "valid": tf.zeros(keys[:2]),
            "pending_key": tf.zeros((batch_size, *keys[2:])),
            "pending_valid": tf.zeros((batch_size,)),
            "play": tf.zeros((batch_size, num_pitches)),
        }

    def scan(self, x, previous, state):
        """Attends over the steps of `x` and the cache of those before.

        The frame of step s is known from step s + 1 on (as `previous`), so each key
        waits one step, pending, for its value.

        Args:
            x: float [batch, time, pitch, features].
            previous: float [batch, time, pitch, channel]; both as for a call.
            state: dict as `zero_state` makes it; None for the start of a window,
                where what came before is unknown.

        Returns:
            (float [batch, time, pitch, features + 2 * num_heads], state after it;
            None where none came in, since training has no use for it).
        """
        fresh = state is None
        # Only what is small is turned: pooled features, frames, what is recalled.
        pooled = self._turned(pool(x, previous[..., 0]))
        previous = self._turned(previous)
        if fresh:
            state = self._unknown_past(previous)
        query, key = self._heads(self.ask(pooled)), self._heads(self.tell(pooled))
        keys = _append(
            state["keys"], _append(state["pending_key"][:, None], key[:, :-1])
        )
        values = _append(state["values"], struck(previous, state["play"]))
        valid = tf.ones_like(key[:, :-1, 0, 0])
        valid = _append(state["valid"], _append(state["pending_valid"][:, None], valid))
        recalled = self._turned(self._recall(query, keys, values, valid))
        out = tf.concat([x, tf.cast(recalled, x.dtype)], axis=-1)
        if fresh:
            return out, None
        kept = -self.max_steps
        return out, {
            "keys": keys[:, kept:],
            "values": values[:, kept:],
            "valid": valid[:, kept:],
            "pending_key": key[:, -1],
            "pending_valid": tf.ones_like(state["pending_valid"]),
            "play": previous[:, -1, :, 0],
        }

    def _turned(self, x):
        """Batch before time, where it is not so, or back."""
        if not self.place_first:
            return x
        return tf.transpose(x, (1, 0, *range(2, len(x.shape))))

    def _unknown_past(self, previous):
        zero = self.zero_state(tf.shape(previous)[0], previous.shape[2])
        empty = {name: zero[name][:, :0] for name in ("keys", "values", "valid")}
        return zero | empty | {"play": tf.zeros_like(previous[:, 0, :, 0])}

    def _heads(self, x):
        shape = tf.concat([tf.shape(x)[:-1], [self.num_heads, self.head_units]], 0)
        return tf.cast(tf.reshape(x, shape), tf.float32)

    def _recall(self, query, keys, values, valid):
        logits = tf.einsum("bthu,bshu->bhts", query * self.head_units**-0.5, keys)
        num_targets, num_sources = tf.shape(query)[1], tf.shape(keys)[1]
        # The last source is the step before the last target.
        targets = tf.range(num_targets)[:, None] + num_sources - num_targets
        steps_between = targets - tf.range(num_sources)[None, :]
        logits += distance_bias(self.distance_bias, steps_between)
        logits += (1.0 - valid[:, None, None, :]) * MASKED
        null = tf.zeros_like(logits[..., :1])
        weights = tf.nn.softmax(tf.concat([null, logits], axis=-1))[..., 1:]
        recalled = tf.einsum("bhts,bsnc->btnhc", weights, values)
        shape = tf.concat([tf.shape(recalled)[:3], [self.num_heads * CHANNELS]], 0)
        return tf.reshape(recalled, shape)

    def get_config(self):
        return {
            **super().get_config(),
            "max_steps": self.max_steps,
            "num_heads": self.num_heads,
            "head_units": self.head_units,
            "place_first": self.place_first,
        }


def pool(x, play):
    """Means over all pitches and over the sounding ones.

    Args:
        x: float [..., pitch, features].
        play: float [..., pitch], 1 where a pitch sounds.

    Returns:
        float [..., 2 * features].
    """
    play = tf.cast(play, x.dtype)
    sounding = tf.math.divide_no_nan(play, tf.reduce_sum(play, axis=-1, keepdims=True))
    every = tf.ones_like(play) / play.shape[-1]
    # One product, so that the features are read once and no product of them is kept.
    means = tf.matmul(tf.stack([every, sounding], axis=-2), x)
    shape = tf.concat([tf.shape(x)[:-2], [2 * x.shape[-1]]], axis=0)
    return tf.reshape(means, shape)


def struck(frames, play_before):
    """Play, and onset: 1 where a note starts or is struck again.

    Args:
        frames: float [batch, time, pitch, channel], play and perhaps replay.
        play_before: float [batch, pitch], the frame before the first.

    Returns:
        float [batch, time, pitch, 2].
    """
    play = tf.cast(frames[..., 0], tf.float32)
    before = tf.concat([tf.cast(play_before[:, None], play.dtype), play[:, :-1]], 1)
    held = before
    if frames.shape[-1] > 1:
        held = before * (1.0 - tf.cast(frames[..., 1], tf.float32))
    return tf.stack([play, play * (1.0 - held)], axis=-1)


def _append(old, new):
    return tf.concat([old, tf.cast(new, old.dtype)], axis=1)
