"""The pitch axis as a NADE whose weights are shared by all pitches.

Sources: Johnson (2017), section 4.1, TP-LSTM-NADE; Larochelle and Murray (2011).
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.autoregressive_context import AutoregressiveContext


@keras.saving.register_keras_serializable(package="poph_tf")
class PitchNade(keras.layers.Layer):
    """Hidden units of each pitch from the time axis and the notes drawn so far.

    The notes drawn so far enter through Johnson's window and their class counts (see
    `AutoregressiveContext`). The output of the time axis sets the biases, so there is
    no recurrence along pitch: with a known frame all pitches are computed at once.

    Args:
        units: int. Hidden units of each pitch.
        width: int, odd. Semitones in the window.

    Call arguments:
        x: float [batch, time, pitch, features], output of the time axis.
        frames: float [batch, time, pitch, channel], of the same steps.

    Output shape: `[batch, time, pitch, units + features]`, the hidden units followed by
    x, from which the heads take the visible bias.

    Example:
        >>> x, frames = tf.zeros((1, 2, 5, 3)), tf.zeros((1, 2, 5, 1))
        >>> PitchNade(units=4)(x, frames).shape.as_list()  # hidden units, then x
        [1, 2, 5, 7]

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9
    """

    def __init__(self, units: int = 100, width: int = 25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.width = width
        self.context = AutoregressiveContext("window", width, name="context")
        self.hidden_bias = keras.layers.Dense(units, name="hidden_bias")
        self.hidden = keras.layers.Dense(units, use_bias=False, name="hidden")

    def build(self, x_shape: tuple, frames_shape: tuple) -> None:
        """Makes the projections for the features of x and the channels of frames."""
        self.context.build(frames_shape)
        self.hidden_bias.build((None, x_shape[-1]))
        self.hidden.build((None, self.context.num_features(frames_shape[-1])))

    def call(self, x: Tensor, frames: Tensor) -> Tensor:
        """Computes all pitches of known frames."""
        return self._hidden_units(x, tf.cast(self.context(frames), x.dtype))

    def zero_state(self, num_rows: Tensor, num_channels: int) -> tuple[Tensor, ...]:
        """Returns the state before the first pitch."""
        return self.context.zero_state(num_rows, num_channels)

    def step(
        self, x: Tensor, drawn: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Computes the next pitch.

        Args:
            x: float [rows, features], output of the time axis at this pitch.
            drawn: float [rows, channel], the cell drawn just before; zeros at first.
            state: As for `AutoregressiveContext`.

        Returns:
            float [rows, units + features], and the next state.
        """
        seen, state = self.context.step(drawn, state)
        return self._hidden_units(x, seen), state

    def _hidden_units(self, x: Tensor, seen: Tensor) -> Tensor:
        hidden = tf.sigmoid(self.hidden_bias(x) + self.hidden(seen))
        return tf.concat([hidden, x], axis=-1)
