"""LSTMs along one axis of the note grid, and the style that is added before each.

Sources: Johnson (2017), the biaxial LSTM; Mao et al. (2018), style conditioning.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.dropout import Dropout

# Transpositions that put an axis first, and back again.
AXIS_ORDERS = {
    "time": ((1, 0, 2, 3), (1, 0, 2, 3)),
    "pitch": ((2, 0, 1, 3), (1, 2, 0, 3)),
}

State = tuple[Tensor, Tensor]


@keras.saving.register_keras_serializable(package="poph_tf")
class StyleBias(keras.layers.Layer):
    """Adds tanh(Dense(style embedding)) to the features of every cell.

    Args:
        dropout: float. Dropout of the added bias.
        axis_first: bool. Whether x is [axis, batch, other axis, features], as in
            `AxisLSTM`.

    Call arguments:
        x: float [batch, time, pitch, features], or as `axis_first` says.
        embedding: float [batch, units].

    Output shape: that of x.

    Example:
        >>> styled = StyleBias()(tf.zeros((1, 2, 3, 4)), tf.ones((1, 8)))
        >>> bool(tf.reduce_all(styled == styled[:, :1, :1]))  # the same at every cell
        True

    Reference:
        Mao et al. (2018), section 4.3, arXiv:1801.00887.
    """

    def __init__(
        self, dropout: float = 0.0, axis_first: bool = False, **kwargs: Any
    ) -> None:
        # `place_first` is the name of `axis_first` in older files.
        axis_first = kwargs.pop("place_first", axis_first)
        super().__init__(**kwargs)
        self.axis_first = axis_first
        self.dropout = dropout
        self.bias_dropout = Dropout(dropout)

    def build(self, x_shape: tuple, embedding_shape: tuple) -> None:
        """Makes the projection to the features of x."""
        self.dense = keras.layers.Dense(x_shape[-1], activation="tanh", name="dense")
        self.dense.build(embedding_shape)

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        return x_shape

    def call(
        self, x: Tensor, embedding: Tensor, training: bool | None = None
    ) -> Tensor:
        """Adds the style to all cells."""
        bias = self.bias_dropout(self.dense(embedding), training=training)
        bias = bias[None, :, None, :] if self.axis_first else bias[:, None, None, :]
        # Broadcast over one axis at a time: the gradient then sums over one axis at a
        # time, for which TensorFlow needs no transposition.
        places = tf.concat([tf.shape(x)[:2], tf.shape(bias)[2:]], axis=0)
        return x + tf.broadcast_to(bias, places)


@keras.saving.register_keras_serializable(package="poph_tf")
class AxisLSTM(keras.layers.Layer):
    """Runs one LSTM along a single axis of the note grid.

    The other axis is folded into the batch, so every pitch (or every time step) is read
    with the same weights.

    Internally, the LSTM of Keras runs along the first axis: it transposes its input,
    and its output back. The transpositions here are the inverse ones, and TensorFlow's
    graph optimizer removes both. With `axis_first` nothing is transposed at all;
    stacked layers should use it.

    Args:
        units: int. Size of the LSTM state.
        axis: str. The axis to run along, "time" or "pitch".
        axis_first: bool. Whether that axis is the first of x and of the output.
        recurrent_dropout: float. Dropout of the state passed on to each place, one
            mask per gate for the whole sequence. If it is not 0, Keras computes one
            product per gate and cannot use cuDNN.
        use_bias: bool. Without biases, a zero state stays zero while x is zero.

    Input shape: `[batch, time, pitch, features]`; with `axis_first` `[time, batch,
    pitch, features]` or `[pitch, batch, time, features]`.
    Output shape: that of the input, with `units` features.

    Raises:
        ValueError: If `axis` is neither "time" nor "pitch".

    Example:
        >>> import numpy as np
        >>> layer, grid = AxisLSTM(4, "pitch"), tf.eye(3)[None, None]  # three pitches
        >>> np.allclose(layer(grid)[:, :, :2], layer(grid[:, :, :2]))  # it runs upwards
        True

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9; Gal and Ghahramani (2016),
        arXiv:1512.05287, for the dropout.
    """

    def __init__(
        self,
        units: int,
        axis: str,
        axis_first: bool = False,
        recurrent_dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        # `place_first` is the name of `axis_first` in older files.
        axis_first = kwargs.pop("place_first", axis_first)
        super().__init__(**kwargs)
        self.axis_first = axis_first
        if axis not in AXIS_ORDERS:
            raise ValueError(f'axis must be "time" or "pitch", got {axis!r}.')
        self.units = units
        self.axis = axis
        self.recurrent_dropout = recurrent_dropout
        self.use_bias = use_bias
        self.lstm = keras.layers.LSTM(
            units,
            return_sequences=True,
            return_state=True,
            recurrent_dropout=recurrent_dropout,
            use_bias=use_bias,
            name="lstm",
        )

    def build(self, x_shape: tuple) -> None:
        """Makes the LSTM for the features of x."""
        self.lstm.build((None, None, x_shape[-1]))

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        return *x_shape[:-1], self.units

    def call(self, x: Tensor) -> Tensor:
        """Runs from the zero state."""
        return self.scan(x, None)[0]

    def zero_state(self, num_rows: Tensor) -> State:
        """Returns the state before the first place, zeros [rows, units]."""
        zeros = tf.zeros((num_rows, self.units))
        return zeros, zeros

    def scan(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Runs along the axis from a state.

        Args:
            x: float, as for a call.
            state: Two float [rows, units], or None for zeros. Rows are batch-major:
                `batch * pitch` along time, `batch * time` along pitch.

        Returns:
            The output of a call, and the state after the last place.
        """
        to_first, back = AXIS_ORDERS[self.axis]
        x = x if self.axis_first else tf.transpose(x, to_first)
        if x.shape[0] == 1 and state is not None:
            out, state = self._scan_one(x, state)
        else:
            out, state = self._scan_all(x, state)
        return (out if self.axis_first else tf.transpose(out, back)), state

    def _scan_all(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        shape = tf.shape(x)
        rows = tf.reshape(x, (shape[0], -1, x.shape[-1]))
        swap = (1, 0, 2)
        out, hidden, cell = self.lstm(tf.transpose(rows, swap), initial_state=state)
        shape = tf.concat([shape[:3], [self.units]], axis=0)
        return tf.reshape(tf.transpose(out, swap), shape), (hidden, cell)

    def _scan_one(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs a single place without a loop in the graph."""
        rows = tf.reshape(x, (-1, x.shape[-1]))
        out, state = self.step(self.project(rows), state)
        shape = tf.concat([tf.shape(x)[:3], [self.units]], axis=0)
        return tf.reshape(out, shape), state

    def project(self, x: Tensor) -> Tensor:
        """Computes the input's part of the gates, float [..., 4 * units].

        The sampler computes it for all rows in one product where it can.
        """
        projected = tf.matmul(x, self.lstm.cell.kernel)
        return projected + self.lstm.cell.bias if self.use_bias else projected

    def step(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs one place, from the input's part of the gates.

        Args:
            projected: float [rows, 4 * units], from `project`.
            state: Two float [rows, units].

        Returns:
            float [rows, units], and the next state.

        Reference:
            Hochreiter and Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735, with
            forget gates.
        """
        hidden, cell = state
        gates = projected + tf.matmul(hidden, self.lstm.cell.recurrent_kernel)
        # Keras orders the gates input, forget, candidate, output.
        enter, forget, candidate, leave = tf.split(gates, 4, axis=-1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(candidate)
        hidden = tf.sigmoid(leave) * tf.tanh(cell)
        return hidden, (hidden, cell)
