"""LSTMs along one axis of the roll, and the style that enters before each.

Sources: Johnson (2017), the biaxial LSTM; Mao et al. (2018), style conditioning.
"""

import keras
import tensorflow as tf

from poph_tf.models.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="poph_tf")
class StyleBias(keras.layers.Layer):
    """Adds tanh(Dense(style embedding)) to the features of every cell.

    Args:
        dropout: float. Dropout on what is added.
        place_first: bool. Whether the batch is the second axis of `x`, as `AxisLSTM`
            has it with this option, and not the first.

    Call arguments:
        x: float [batch, time, pitch, features], or [place, batch, other, features].
        embedding: float [batch, units].

    Returns:
        float, of the shape of `x`.

    Reference:
        Mao et al. (2018), section 4.3, arXiv:1801.00887.
    """

    def __init__(self, dropout=0.0, place_first=False, **kwargs):
        super().__init__(**kwargs)
        self.dropout = dropout
        self.place_first = place_first
        self.bias_dropout = Dropout(dropout)

    def build(self, x_shape, embedding_shape):
        self.dense = keras.layers.Dense(x_shape[-1], activation="tanh", name="dense")
        self.dense.build(embedding_shape)
        self.built = True

    def call(self, x, embedding, training=None):
        bias = self.bias_dropout(self.dense(embedding), training=training)
        bias = bias[None, :, None, :] if self.place_first else bias[:, None, None, :]
        # By two axes in two steps: the gradient adds up along one axis at a time,
        # which TensorFlow does without turning all of it around.
        places = tf.concat([tf.shape(x)[:2], tf.shape(bias)[2:]], axis=0)
        return x + tf.broadcast_to(bias, places)

    def get_config(self):
        config = {"dropout": self.dropout, "place_first": self.place_first}
        return {**super().get_config(), **config}


# How each axis comes first, and goes back to where it was.
TURNS = {"time": ((1, 0, 2, 3), (1, 0, 2, 3)), "pitch": ((2, 0, 1, 3), (1, 2, 0, 3))}


@keras.saving.register_keras_serializable(package="poph_tf")
class AxisLSTM(keras.layers.Layer):
    """Runs one LSTM along a single axis of the roll.

    The other axis is folded into the batch, so every pitch (or every step) is read
    with the same weights.

    The LSTM of Keras walks along the first axis inside, and turns its input to it and
    its output back. The turns here are the inverse ones: side by side they cancel,
    and TensorFlow's optimizer of graphs takes both out. So with `place_first` nothing
    is moved at all, and layers in a row should have it.

    Args:
        units: int. Size of the LSTM state.
        axis: str. The axis to walk along, "time" or "pitch".
        place_first: bool. Whether the axis to walk along already is the first.
        recurrent_dropout: float. Dropout on the state that each place takes over, one
            mask a gate for the whole walk. Where it is not 0, Keras takes a product for
            each gate and can't use cuDNN.

    Call arguments:
        x: float [batch, time, pitch, features]; with `place_first` [time, batch,
            pitch, features] or [pitch, batch, time, features].

    Returns:
        float, of the same axes, with `units` features.

    Raises:
        ValueError: If `axis` is neither "time" nor "pitch".

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9; Gal and Ghahramani (2016),
        arXiv:1512.05287, for the dropout.
    """

    def __init__(self, units, axis, place_first=False, recurrent_dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if axis not in TURNS:
            raise ValueError(f'axis must be "time" or "pitch", got {axis!r}.')
        self.units = units
        self.axis = axis
        self.place_first = place_first
        self.recurrent_dropout = recurrent_dropout
        self.lstm = keras.layers.LSTM(
            units,
            return_sequences=True,
            return_state=True,
            recurrent_dropout=recurrent_dropout,
            name="lstm",
        )

    def build(self, x_shape):
        self.lstm.build((None, None, x_shape[-1]))
        self.built = True

    def call(self, x):
        return self.scan(x, None)[0]

    def zero_state(self, num_rows):
        """The state before the first step, a pair of zeros [rows, units]."""
        return (tf.zeros((num_rows, self.units)),) * 2

    def scan(self, x, state):
        """Walks along the axis from a state.

        Args:
            x: float, as for a call.
            state: pair of float [rows, units], or None for zeros. Rows are
                batch-major: `batch * pitch` along time, `batch * time` along pitch.

        Returns:
            (float, as from a call; the state after the last place).
        """
        there, back = TURNS[self.axis]
        x = x if self.place_first else tf.transpose(x, there)
        if x.shape[0] == 1 and state is not None:
            out, state = self._scan_one(x, state)
        else:
            out, state = self._walk(x, state)
        return (out if self.place_first else tf.transpose(out, back)), state

    def _walk(self, x, state):
        """`scan` with the axis to walk along first."""
        shape = tf.shape(x)
        rows = tf.reshape(x, (shape[0], -1, x.shape[-1]))
        swap = (1, 0, 2)
        out, hidden, cell = self.lstm(tf.transpose(rows, swap), initial_state=state)
        shape = tf.concat([shape[:3], [self.units]], axis=0)
        return tf.reshape(tf.transpose(out, swap), shape), (hidden, cell)

    def _scan_one(self, x, state):
        """`scan` over a single time step, without a loop around it."""
        rows = tf.reshape(x, (-1, x.shape[-1]))
        out, state = self.step(self.project(rows), state)
        shape = tf.concat([tf.shape(x)[:3], [self.units]], axis=0)
        return tf.reshape(out, shape), state

    def project(self, x):
        """The input's part of the gates, float [..., 4 * units].

        The sampler computes it for all rows in one product where it can.
        """
        return tf.matmul(x, self.lstm.cell.kernel) + self.lstm.cell.bias

    def step(self, projected, state):
        """One place of the walk, from the input's part of the gates.

        Args:
            projected: float [rows, 4 * units], from `project`.
            state: pair of float [rows, units].

        Returns:
            (float [rows, units], the state after it).
        """
        hidden, cell = state
        gates = projected + tf.matmul(hidden, self.lstm.cell.recurrent_kernel)
        # Keras orders the gates input, forget, candidate, output.
        enter, forget, candidate, leave = tf.split(gates, 4, axis=-1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(candidate)
        hidden = tf.sigmoid(leave) * tf.tanh(cell)
        return hidden, (hidden, cell)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "axis": self.axis,
            "place_first": self.place_first,
            "recurrent_dropout": self.recurrent_dropout,
        }
