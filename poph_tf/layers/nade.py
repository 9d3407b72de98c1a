"""The pitch axis as a NADE whose weights are tied over pitches.

Source: Johnson (2017), section 4.1, TP-LSTM-NADE; Larochelle and Murray (2011).
"""

import keras
import tensorflow as tf

from poph_tf.layers import features


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
        self.hidden_bias = keras.layers.Dense(units, name="hidden_bias")
        self.hidden = keras.layers.Dense(units, use_bias=False, name="hidden")

    def build(self, x_shape, chosen_shape):
        reach = self.width // 2
        inputs = reach * chosen_shape[-1] + features.OCTAVE
        self.hidden_bias.build((None, x_shape[-1]))
        self.hidden.build((None, inputs))
        self.built = True

    def call(self, x, chosen):
        below = features.window(chosen, self.width)
        below = below[..., : (self.width // 2) * chosen.shape[-1]]
        bins = lower_class_counts(chosen[..., 0])
        seen = tf.concat([tf.cast(below, x.dtype), tf.cast(bins, x.dtype)], axis=-1)
        hidden = tf.sigmoid(self.hidden_bias(x) + self.hidden(seen))
        return tf.concat([hidden, x], axis=-1)

    def zero_state(self, num_rows, num_channels):
        """Before the first pitch: nothing chosen below it, and no class counts."""
        below = (num_rows, self.width // 2, num_channels)
        return tf.zeros(below), tf.zeros((num_rows, features.OCTAVE))

    def step(self, x, chosen, state):
        """One pitch of the walk.

        Args:
            x: float [rows, features], the time axis' output at this pitch.
            chosen: float [rows, channel], what was drawn at the pitch just below
                (zeros at the first).
            state: pair of the frame's window [rows, width // 2, channel] and class
                counts [rows, 12] relative to the pitch just below.

        Returns:
            (float [rows, units + features], the state after it).
        """
        below = tf.concat([state[0][:, 1:], chosen[:, None]], axis=1)
        # One pitch up, each class lies one place lower; the note just below is 11.
        counts = tf.roll(state[1], shift=-1, axis=-1)
        counts += chosen[:, :1] * tf.one_hot(features.OCTAVE - 1, features.OCTAVE)
        window = tf.reshape(below, (-1, below.shape[1] * below.shape[2]))
        seen = tf.concat([window, counts], axis=-1)
        hidden = tf.sigmoid(self.hidden_bias(x) + self.hidden(seen))
        return tf.concat([hidden, x], axis=-1), (below, counts)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "width": self.width}


def lower_class_counts(play):
    """Counts the notes below each pitch by class, relative to that pitch.

    Args:
        play: float [..., pitch].

    Returns:
        float [..., pitch, 12].
    """
    num_pitches = play.shape[-1]
    below = tf.linalg.band_part(tf.ones((num_pitches, num_pitches)), 0, -1)
    below -= tf.eye(num_pitches)  # [m, n]: 1 where m < n
    table = features.relative_class(num_pitches) * below[..., None]
    return tf.einsum("...m,mnk->...nk", tf.cast(play, tf.float32), table)
