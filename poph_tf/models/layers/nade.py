"""The pitch axis as a NADE whose weights are tied over pitches.

Source: Johnson (2017), section 4.1, TP-LSTM-NADE; Larochelle and Murray (2011).
"""

import keras
import tensorflow as tf

from poph_tf.models.layers.autoregressive_context import ChosenNotes


@keras.saving.register_keras_serializable(package="poph_tf")
class PitchNade(keras.layers.Layer):
    """Hidden units of each pitch from the time axis and the notes already chosen.

    At pitch n, the chosen notes enter through Johnson's window around n and the counts
    of their classes relative to n, both with zeros where nothing is chosen yet. The
    time axis' output sets the biases, so there is no recurrence along pitch and all
    pitches are computed at once when the frame is known.

    Args:
        units: int. Hidden units of each pitch.
        width: int, odd. Semitones in the window.

    Call arguments:
        x: float [batch, time, pitch, features], the time axis' output.
        chosen: float [batch, time, pitch, channel], the frames of the same steps.

    Returns:
        float [batch, time, pitch, units + features]: the hidden units, and `x` passed
        on, from which the heads take the visible bias.

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9
    """

    def __init__(self, units=100, width=25, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.width = width
        self.chosen = ChosenNotes("window", width, name="chosen_notes")
        self.hidden_bias = keras.layers.Dense(units, name="hidden_bias")
        self.hidden = keras.layers.Dense(units, use_bias=False, name="hidden")

    def build(self, x_shape, chosen_shape):
        self.chosen.build(chosen_shape)
        self.hidden_bias.build((None, x_shape[-1]))
        self.hidden.build((None, self.chosen.num_features(chosen_shape[-1])))
        self.built = True

    def call(self, x, chosen):
        return self._hidden_units(x, tf.cast(self.chosen(chosen), x.dtype))

    def zero_state(self, num_rows, num_channels):
        """The state before the first pitch."""
        return self.chosen.zero_state(num_rows, num_channels)

    def step(self, x, chosen, state):
        """One pitch of the walk.

        Args:
            x: float [rows, features], the time axis' output at this pitch.
            chosen: float [rows, channel], what was drawn at the pitch just below
                (zeros at the first).
            state: that of `ChosenNotes`.

        Returns:
            (float [rows, units + features], the state after it).
        """
        seen, state = self.chosen.step(chosen, state)
        return self._hidden_units(x, seen), state

    def _hidden_units(self, x, seen):
        hidden = tf.sigmoid(self.hidden_bias(x) + self.hidden(seen))
        return tf.concat([hidden, x], axis=-1)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "width": self.width}
