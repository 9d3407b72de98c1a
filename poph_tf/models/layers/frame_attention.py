"""Attention along time by frames: recalls what sounded in similar steps.

Queries and keys are pooled over pitches, so one set of weights over time serves all
pitches, at 1/pitches of the cost of attention at each pitch. The values are the frames
themselves: what is recalled arrives at its own pitch, and the layer commutes with
transposition. A repeated phrase can be copied.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.attention import MASKED, distance_bias, distances
from poph_tf.models.layers.features import side_by_side

# Each head recalls two numbers: whether a pitch sounded, and whether it had an onset.
CHANNELS = 2

State = dict[str, Tensor]


@keras.saving.register_keras_serializable(package="poph_tf")
class FrameAttention(keras.layers.Layer):
    """Appends to each cell what earlier frames had at its pitch.

    At step t the features pooled over pitches are compared with those of steps s < t;
    each head returns a mean of the frames s, weighted by similarity and distance. A
    null source with logit 0 and value 0 lets a head abstain.

    Args:
        max_steps: int. Number of earlier steps that it sees.
        num_heads: int. Number of heads.
        head_units: int. Width of queries and keys.
        time_major: bool. Whether inputs and output are [time, batch, pitch, ...].
        num_tracks: int. Number of tracks in the frames' channels; each is recalled.

    Call arguments:
        x: float [batch, time, pitch, features], output of the time axis for steps t.
        previous: float [batch, time, pitch, channel], frames t - 1, play first, then
            replay if the model has it; with tracks their channels side by side.

    Output shape: `[batch, time, pitch, features + 2 * num_heads * num_tracks]`.

    Example:
        >>> layer = FrameAttention(max_steps=8, num_heads=2)
        >>> layer(tf.zeros((1, 4, 5, 3)), tf.zeros((1, 4, 5, 1))).shape.as_list()
        [1, 4, 5, 7]

    Reference:
        Vaswani et al. (2017), arXiv:1706.03762, for the attention. Frames as values
        are this project's own.
    """

    def __init__(
        self,
        max_steps: int,
        num_heads: int = 4,
        head_units: int = 32,
        time_major: bool = False,
        num_tracks: int = 1,
        **kwargs: Any,
    ) -> None:
        # `place_first` is the name of `time_major` in older files.
        time_major = kwargs.pop("place_first", time_major)
        super().__init__(**kwargs)
        self.time_major = time_major
        self.max_steps = max_steps
        self.num_tracks = num_tracks
        self.num_heads = num_heads
        self.head_units = head_units
        width = num_heads * head_units
        # Weights files contain the names of these two attributes.
        self.ask = keras.layers.Dense(width, name="query")
        self.tell = keras.layers.Dense(width, name="key")

    def build(self, x_shape: tuple, previous_shape: tuple) -> None:
        """Makes the projections and the table of biases."""
        self.ask.build((None, None, 2 * x_shape[-1]))
        self.tell.build((None, None, 2 * x_shape[-1]))
        self.distance_bias = self.add_weight(
            shape=(self.num_heads, self.max_steps),
            initializer="zeros",
            name="distance_bias",
        )

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        recalled = CHANNELS * self.num_heads * self.num_tracks
        return *x_shape[:-1], x_shape[-1] + recalled

    def call(self, x: Tensor, previous: Tensor) -> Tensor:
        """Attends over a window; what came before it is unknown."""
        return self.scan(x, previous, None)[0]

    def attention_weights(self, x: Tensor, previous: Tensor) -> Tensor:
        """The weights of a call: how much each step recalls each earlier one.

        Returns:
            float32 [batch, head, time, step]; 0 from the step itself on.
        """
        query, _, sources, _ = self._prepared(x, previous, None)
        weights = self._weights(query, sources["keys"], sources["valid"])
        # The first source lies before the window; no step recalls the last one.
        return tf.pad(weights[..., 1:], [[0, 0]] * 3 + [[0, 1]])

    def zero_state(self, batch_size: Tensor, num_pitches: int) -> State:
        """Returns an empty cache, no pending key, and a silent frame."""
        keys = (batch_size, self.max_steps, self.num_heads, self.head_units)
        width = self.num_tracks * CHANNELS
        values = (batch_size, self.max_steps, num_pitches, width)
        return {
            "keys": tf.zeros(keys),
            "values": tf.zeros(values),
            "valid": tf.zeros(keys[:2]),
            "pending_key": tf.zeros((batch_size, *keys[2:])),
            "pending_valid": tf.zeros((batch_size,)),
            "play": tf.zeros((batch_size, num_pitches * self.num_tracks)),
        }

    def scan(
        self, x: Tensor, previous: Tensor, state: State | None
    ) -> tuple[Tensor, State | None]:
        """Attends over the steps of x and the cache of those before.

        Args:
            x: As for a call.
            previous: As for a call.
            state: As from `zero_state`; None if what came before is unknown.

        Returns:
            The output of a call, and the state after the last step (None if `state` is
            None; training does not need it).
        """
        query, key, sources, frames = self._prepared(x, previous, state)
        recalled = self._swapped(self._recall(query, **sources))
        out = tf.concat([x, tf.cast(recalled, x.dtype)], axis=-1)
        if state is None:
            return out, None
        kept = {name: value[:, -self.max_steps :] for name, value in sources.items()}
        return out, kept | {
            "pending_key": key[:, -1],
            "pending_valid": tf.ones_like(state["pending_valid"]),
            "play": tf.reshape(self._plays(frames)[:, -1], tf.shape(state["play"])),
        }

    def _prepared(
        self, x: Tensor, previous: Tensor, state: State | None
    ) -> tuple[Tensor, Tensor, State, Tensor]:
        """Queries, keys, sources and frames, all with the batch first."""
        # Only small tensors are transposed: pooled features, frames, recalled values.
        sounds = tf.reduce_max(self._plays(previous), axis=-1)
        pooled = self._swapped(pool(x, sounds))
        frames = self._swapped(previous)
        past = self._unknown_past(frames) if state is None else state
        query, key = self._heads(self.ask(pooled)), self._heads(self.tell(pooled))
        return query, key, self._sources(past, key, frames), frames

    def _sources(self, past: State, key: Tensor, previous: Tensor) -> State:
        """Appends the keys and values of new steps to the cache.

        The frame of step s is known only at step s + 1 (as `previous`), so each key is
        pending for one step until its value is known.
        """
        pending = {
            "keys": _append(past["pending_key"][:, None], key[:, :-1]),
            "values": onsets(previous, past["play"], self.num_tracks),
            "valid": _append(
                past["pending_valid"][:, None], tf.ones_like(key[:, :-1, 0, 0])
            ),
        }
        return {name: _append(past[name], new) for name, new in pending.items()}

    def _swapped(self, x: Tensor) -> Tensor:
        """Swaps batch and time if the layer is time-major."""
        if not self.time_major:
            return x
        return tf.transpose(x, (1, 0, *range(2, len(x.shape))))

    def _plays(self, frames: Tensor) -> Tensor:
        """The channels of play, [..., pitch, track]."""
        return frames[..., :: frames.shape[-1] // self.num_tracks]

    def _unknown_past(self, previous: Tensor) -> State:
        zero = self.zero_state(tf.shape(previous)[0], previous.shape[2])
        empty = {name: zero[name][:, :0] for name in ("keys", "values", "valid")}
        return zero | empty

    def _heads(self, x: Tensor) -> Tensor:
        shape = tf.concat([tf.shape(x)[:-1], [self.num_heads, self.head_units]], 0)
        return tf.cast(tf.reshape(x, shape), tf.float32)

    def _recall(
        self, query: Tensor, keys: Tensor, values: Tensor, valid: Tensor
    ) -> Tensor:
        """Returns the weighted means of values, float32 [batch, time, pitch, ...]."""
        weights = self._weights(query, keys, valid)
        return side_by_side(tf.einsum("bhts,bsnc->btnhc", weights, values))

    def _weights(self, query: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
        """float32 [batch, head, time, source]; the null source is left out."""
        logits = tf.einsum("bthu,bshu->bhts", query * self.head_units**-0.5, keys)
        # The last source is the step before the last target.
        steps_between = distances(tf.shape(query)[1], tf.shape(keys)[1])
        logits += distance_bias(self.distance_bias, steps_between)
        logits += (1.0 - valid[:, None, None, :]) * MASKED
        null = tf.zeros_like(logits[..., :1])
        return tf.nn.softmax(tf.concat([null, logits], axis=-1))[..., 1:]


def pool(x: Tensor, play: Tensor) -> Tensor:
    """Computes the means over all pitches and over the sounding ones.

    Args:
        x: float [..., pitch, features].
        play: float [..., pitch], 1 where a pitch sounds.

    Returns:
        float [..., 2 * features].
    """
    play = tf.cast(play, x.dtype)
    sounding = tf.math.divide_no_nan(play, tf.reduce_sum(play, axis=-1, keepdims=True))
    every = tf.ones_like(play) / play.shape[-1]
    # One matrix product reads the features once and keeps no copy for the gradient.
    return side_by_side(tf.matmul(tf.stack([every, sounding], axis=-2), x))


def onsets(frames: Tensor, play_before: Tensor, num_tracks: int = 1) -> Tensor:
    """Returns play and onset of each cell; an onset starts or repeats a note.

    Args:
        frames: float [batch, time, pitch, channel], play, then replay if there is one;
            with tracks their channels side by side.
        play_before: float [batch, pitch * track], of the frame before the first.
        num_tracks: Tracks among the channels.

    Returns:
        float32 [batch, time, pitch, 2 * track].
    """
    shape, channels = tf.shape(frames), frames.shape[-1] // num_tracks
    cells = tf.concat([shape[:2], [frames.shape[2] * num_tracks, channels]], axis=0)
    frames = tf.cast(tf.reshape(frames, cells), tf.float32)
    play = frames[..., 0]
    held = tf.concat([play_before[:, None], play[:, :-1]], axis=1)
    if channels > 1:
        held *= 1.0 - frames[..., 1]
    both = tf.stack([play, play * (1.0 - held)], axis=-1)
    return tf.reshape(both, tf.concat([shape[:3], [num_tracks * CHANNELS]], axis=0))


def _append(old: Tensor, new: Tensor) -> Tensor:
    return tf.concat([old, tf.cast(new, old.dtype)], axis=1)
