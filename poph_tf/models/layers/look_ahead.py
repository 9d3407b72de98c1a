"""Tracks whose notes the user gives: the notes of a step, and what comes next.

Notes are read as play and struck, not as replay: at the border of what is given, replay
would reveal whether a note continues from the hidden step before.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.features import (
    OCTAVE,
    relative_class_counts,
    side_by_side,
    window,
)
from poph_tf.models.layers.recurrent import AxisLSTM

# Bars left are one-hot below NEAR_BARS, and also a number up to MOST_BARS_LEFT.
NEAR_BARS, MOST_BARS_LEFT = 8, 32


def struck_notes(current: Tensor, previous: Tensor, given: Tensor) -> Tensor:
    """Play and struck of each track, as read where notes are known.

    A note is struck unless it is held from the step before. A given note counts as
    struck where the step before is free.

    Args:
        current: float [batch, time, track, pitch, channel], frames of steps t, play
            first, then replay if the model has it.
        previous: float, of the same shape, the frames before them.
        given: float [batch, time, track], 1 where the user gives the notes.

    Returns:
        float [batch, time, track, pitch, 2].
    """
    before = tf.concat([tf.zeros_like(given[:, :1]), given[:, :-1]], axis=1)
    held = previous[..., 0] * (1.0 - given * (1.0 - before))[..., None]
    if current.shape[-1] > 1:
        held *= 1.0 - current[..., 1]
    play = current[..., 0]
    return tf.stack([play, play * (1.0 - held)], axis=-1)


def note_features(notes: Tensor, width: int) -> Tensor:
    """Window of play and struck, and class counts, of each track around each pitch.

    Args:
        notes: float [batch, time, track, pitch, 2].
        width: Semitones of the window, odd.

    Returns:
        float [batch, time, pitch, track, features].
    """
    near = tf.concat([window(notes, width), relative_class_counts(notes[..., 0])], -1)
    return tf.transpose(near, (0, 1, 3, 2, 4))


def known_tracks(given: Tensor, track: int, others: list[int]) -> Tensor:
    """Which tracks a track may read in the same step: those before it, and given ones.

    Args:
        given: float [batch, time, track].
        track: Index of the reading track.
        others: Indices of the tracks in question.

    Returns:
        float [batch, time, other].

    Example:
        >>> known_tracks(tf.constant([[[0.0, 0.0, 1.0]]]), 1, [0, 2]).numpy().tolist()
        [[[1.0, 1.0]]]
    """
    drawn = tf.constant([float(j < track) for j in others], given.dtype)
    return tf.maximum(tf.gather(given, others, axis=2), drawn)


@keras.saving.register_keras_serializable(package="poph_tf")
class StruckNotes(keras.layers.Layer):
    """`struck_notes` as a layer.

    Example:
        >>> play = tf.ones((1, 2, 1, 1, 1))  # one pitch of one track, for two steps
        >>> before = tf.constant([0.0, 1.0])[None, :, None, None, None]
        >>> struck = StruckNotes()(play, before, tf.zeros((1, 2, 1)))
        >>> struck[0, :, 0, 0].numpy().tolist()
        [[1.0, 1.0], [1.0, 0.0]]
    """

    def compute_output_shape(self, current_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        return *current_shape[:-1], 2

    def call(self, current: Tensor, previous: Tensor, given: Tensor) -> Tensor:
        """Computes float [batch, time, track, pitch, 2]."""
        return struck_notes(current, previous, given)


@keras.saving.register_keras_serializable(package="poph_tf")
class TrackNotes(keras.layers.Layer):
    """`note_features` as a layer.

    Args:
        width: int, odd. Semitones of the window.

    Input shape: `[batch, time, track, pitch, 2]`, from `StruckNotes`.
    Output shape: `[batch, time, pitch, track, features]`.

    Example:
        >>> notes = tf.zeros((1, 4, 2, 48, 2))  # two tracks
        >>> TrackNotes(width=3)(notes).shape.as_list()  # 3 cells of 2 values, 12 counts
        [1, 4, 48, 2, 18]
    """

    def __init__(self, width: int = 25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    def compute_output_shape(self, notes_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        batch, time, tracks, pitches, channels = notes_shape
        return batch, time, pitches, tracks, self.width * channels + OCTAVE

    def call(self, notes: Tensor) -> Tensor:
        """Computes the features."""
        return note_features(notes, self.width)


@keras.saving.register_keras_serializable(package="poph_tf")
class SideBySide(keras.layers.Layer):
    """Puts time first, and the channels of all tracks side by side at each pitch.

    Input shape: `[batch, time, track, pitch, channel]`.
    Output shape: `[time, batch, pitch, track * channel]`.

    Example:
        >>> SideBySide()(tf.zeros((1, 4, 2, 48, 3))).shape.as_list()
        [4, 1, 48, 6]
    """

    def call(self, frames: Tensor) -> Tensor:
        """Moves the axes."""
        return side_by_side(tf.transpose(frames, (1, 0, 3, 2, 4)))


@keras.saving.register_keras_serializable(package="poph_tf")
class LookAhead(keras.layers.Layer):
    """Reads for each step what is given from there on, with a backward LSTM.

    The LSTM has no biases and, going backwards, reads zeros until it meets a step with
    something given. So its state and its output are exactly zero where nothing is given
    at that step or later.

    Args:
        units: int. Units of the LSTM.

    Call arguments:
        notes: float [batch, time, pitch, track, features], from `TrackNotes`.
        given: float [batch, time, track], 1 where those notes are given.
        bar: float [batch, time, places], features of the position in time, or None.

    Output shape: `[time, batch, pitch, units]`.

    Example:
        >>> given = tf.constant([[[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])  # in step 1
        >>> ahead = LookAhead(4)(tf.ones((1, 3, 5, 2, 6)), given)
        >>> tf.reduce_any(ahead != 0, axis=(1, 2, 3)).numpy().tolist()
        [True, True, False]
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.lstm = AxisLSTM(
            units, "time", axis_first=True, use_bias=False, name="axis_lstm"
        )

    def build(
        self, notes_shape: tuple, given_shape: tuple, bar_shape: tuple | None = None
    ) -> None:
        """Makes the LSTM for the features of its input."""
        *_, tracks, features = notes_shape
        width = tracks * (features + 1) + 1 + (bar_shape[-1] if bar_shape else 0)
        self.lstm.build((None, None, None, width))

    def compute_output_shape(self, notes_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        batch, time, pitches, *_ = notes_shape
        return time, batch, pitches, self.units

    def call(self, notes: Tensor, given: Tensor, bar: Tensor | None = None) -> Tensor:
        """Runs from the last step to the first."""
        later = tf.reduce_max(given, axis=-1, keepdims=True)
        later = tf.minimum(tf.cumsum(later, axis=1, reverse=True), 1.0)
        x = self._read(notes, given, later, bar)
        return tf.reverse(self.lstm(tf.reverse(x, [0])), [0])

    def zero_state(self, num_rows: Tensor, batch_size: Tensor) -> dict[str, Any]:
        """The state after the last step, where nothing is given."""
        return {
            "lstm": self.lstm.zero_state(num_rows),
            "later": tf.zeros((batch_size, 1, 1)),
        }

    def step(
        self, notes: Tensor, given: Tensor, bar: Tensor | None, state: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Runs one step, after the step that follows it; arguments as for a call."""
        later = tf.maximum(tf.reduce_max(given, axis=-1, keepdims=True), state["later"])
        x = self._read(notes, given, later, bar)
        out, lstm = self.lstm.scan(x, tuple(state["lstm"]))
        return out, {"lstm": lstm, "later": later}

    def _read(
        self, notes: Tensor, given: Tensor, later: Tensor, bar: Tensor | None
    ) -> Tensor:
        """The input of the LSTM, [time, batch, pitch, features].

        `later`, float [batch, time, 1], is 1 where something is given then or later.
        """
        told = side_by_side(notes * given[:, :, None, :, None])
        known = [given, later] if bar is None else [given, later, bar * later]
        places = tf.repeat(tf.concat(known, -1)[:, :, None], told.shape[2], axis=2)
        return tf.transpose(tf.concat([told, places], axis=-1), (1, 0, 2, 3))


@keras.saving.register_keras_serializable(package="poph_tf")
class TrackContext(keras.layers.Layer):
    """What a track sees of the other tracks' notes in the same step.

    It sees the tracks drawn before it, and whatever is given.

    Args:
        units: int. Width of the output.
        track: int. Index of the track.

    Call arguments:
        notes: float [batch, time, pitch, track, features], from `TrackNotes`.
        given: float [batch, time, track].

    Output shape: `[time, batch, pitch, units]`.

    Example:
        >>> notes, given = tf.ones((1, 1, 5, 2, 6)), tf.zeros((1, 1, 2))
        >>> seen = [TrackContext(4, track)(notes, given) for track in (0, 1)]
        >>> [bool(tf.reduce_any(x != 0)) for x in seen]  # the first is drawn first
        [False, True]
    """

    def __init__(self, units: int, track: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.track = track
        self.dense = keras.layers.Dense(units, name="dense")

    def build(self, notes_shape: tuple, given_shape: tuple) -> None:
        """Makes the projection for the tracks and features of the notes."""
        tracks, features = notes_shape[-2:]
        self.dense.build((None, None, None, (tracks - 1) * (features + 1)))

    def compute_output_shape(self, notes_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        batch, time, pitches, *_ = notes_shape
        return time, batch, pitches, self.units

    def call(self, notes: Tensor, given: Tensor) -> Tensor:
        """Projects the notes that are known."""
        others = [j for j in range(notes.shape[3]) if j != self.track]
        known = known_tracks(given, self.track, others)[:, :, None]
        known = tf.repeat(known, notes.shape[2], axis=2)[..., None]
        seen = tf.gather(notes, others, axis=3) * known
        seen = side_by_side(tf.concat([seen, known], axis=-1))
        return tf.transpose(self.dense(seen), (1, 0, 2, 3))


def bars_left_features(bars_left: Tensor) -> Tensor:
    """Encodes the number of bars that are left to the end of the piece.

    Args:
        bars_left: int32 [batch, time], 0 in the last bar; -1 is unknown, and values
            above 32 count as 32.

    Returns:
        float32 [batch, time, 10]: whether it is known, its share of 32, and a one-hot
        of 0 to 7.

    Example:
        >>> bars_left_features(tf.constant([[-1, 1, 40]]))[0, :, :4].numpy().tolist()
        [[0.0, 0.0, 0.0, 0.0], [1.0, 0.03125, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
    """
    bars_left = tf.cast(bars_left, tf.int32)
    known = tf.cast(bars_left >= 0, tf.float32)
    share = tf.cast(tf.clip_by_value(bars_left, 0, MOST_BARS_LEFT), tf.float32)
    numbers = tf.stack([known, share / MOST_BARS_LEFT], axis=-1)
    return tf.concat([numbers, tf.one_hot(bars_left, NEAR_BARS)], axis=-1)


@keras.saving.register_keras_serializable(package="poph_tf")
class BarsLeft(keras.layers.Layer):
    """`bars_left_features` as a layer.

    Example:
        >>> seen = BarsLeft()(tf.constant([[0, 7, -1]]))[0]  # the last bar, unknown
        >>> tf.reduce_any(seen != 0, axis=-1).numpy().tolist()
        [True, True, False]
    """

    def call(self, bars_left: Tensor) -> Tensor:
        """Reads int32 [batch, time]; returns float [batch, time, 10]."""
        return bars_left_features(bars_left)
