"""What each pitch sees of the notes drawn before it in the same step.

Sources: Johnson (2017), sections 3.2 (the note drawn before, for the LSTM along pitch)
and 4.1 (window and class counts of the notes drawn so far, for the NADE).
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers import features


# Older model files call the class "ChosenNotes".
@keras.saving.register_keras_serializable(package="poph_tf")
@keras.saving.register_keras_serializable(package="poph_tf", name="ChosenNotes")
class AutoregressiveContext(keras.layers.Layer):
    """Features of every pitch from the cells drawn before it in its step.

    Args:
        kind: str. "note": the cell drawn just before. "window": the cells in the half
            of Johnson's window that is drawn before, and the number of notes drawn so
            far in each pitch class relative to this pitch.
        width: int, odd. Semitones in the whole window.

    Input shape: `[..., pitch, channel]`, whole frames, pitches in draw order.
    Output shape: `[..., pitch, features]`, zeros where nothing is drawn yet.

    Raises:
        ValueError: If `kind` is neither "note" nor "window".

    Example:
        >>> frame = tf.constant([[1.0], [0.0], [1.0]])  # three pitches, play only
        >>> AutoregressiveContext("note")(frame).numpy().tolist()
        [[0.0], [1.0], [0.0]]

    Reference:
        Johnson (2017), sections 3.2 and 4.1, doi:10.1007/978-3-319-55750-2_9
    """

    def __init__(self, kind: str = "note", width: int = 25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in ("note", "window"):
            raise ValueError(f'kind must be "note" or "window", got {kind!r}.')
        self.kind = kind
        self.width = width

    @property
    def reach(self) -> int:
        """The number of cells before a pitch that are seen individually."""
        return 1 if self.kind == "note" else self.width // 2

    def num_features(self, num_channels: int) -> int:
        """Returns the number of features for frames of `num_channels`."""
        counts = 0 if self.kind == "note" else features.OCTAVE
        return self.reach * num_channels + counts

    def build(self, frames_shape: tuple) -> None:
        """Makes nothing: the layer has no weights."""
        self.built = True

    def call(self, frames: Tensor) -> Tensor:
        """Computes the features of all pitches of known frames."""
        num_pitches = frames.shape[-2]
        edges = [[0, 0]] * (len(frames.shape) - 2) + [[self.reach, 0], [0, 0]]
        padded = tf.pad(frames, edges)
        seen = [padded[..., k : k + num_pitches, :] for k in range(self.reach)]
        if self.kind == "window":
            counts = lower_class_counts(frames[..., 0])
            seen.append(tf.cast(counts, frames.dtype))
        return tf.concat(seen, axis=-1)

    def zero_state(self, num_rows: Tensor, num_channels: int) -> tuple[Tensor, ...]:
        """Returns the window and the class counts before the first pitch."""
        if self.kind == "note":
            return ()
        window = (num_rows, self.reach, num_channels)
        return tf.zeros(window), tf.zeros((num_rows, features.OCTAVE))

    def step(
        self, drawn: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Computes the features of the next pitch.

        Args:
            drawn: float [rows, channel], the cell drawn just before; zeros at first.
            state: Window [rows, reach, channel] and class counts [rows, 12] of the
                pitch before; empty for "note".

        Returns:
            float [rows, features], and the next state.
        """
        if self.kind == "note":
            return drawn, state
        before = tf.concat([state[0], drawn[:, None]], axis=1)[:, 1:]
        # Relative to the next pitch each class is one lower; the last cell is 11.
        counts = tf.roll(state[1], shift=-1, axis=-1)
        counts += drawn[:, :1] * tf.one_hot(features.OCTAVE - 1, features.OCTAVE)
        window = features.side_by_side(before)
        return tf.concat([window, counts], axis=-1), (before, counts)


def lower_class_counts(play: Tensor) -> Tensor:
    """Counts the notes before each pitch by class, relative to that pitch.

    Args:
        play: float [..., pitch], in draw order.

    Returns:
        float32 [..., pitch, 12].
    """
    num_pitches = play.shape[-1]
    below = tf.linalg.band_part(tf.ones((num_pitches, num_pitches)), 0, -1)
    below -= tf.eye(num_pitches)  # [m, n]: 1 where m < n
    table = features.relative_class(num_pitches) * below[..., None]
    return tf.einsum("...m,mnk->...nk", tf.cast(play, tf.float32), table)
