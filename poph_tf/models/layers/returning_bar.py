"""What sounded in the bar that this one returns to.

That bar is an input, as a composer decides on a form before the notes. Without it,
nothing that a network composes returns after a page.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.features import side_by_side
from poph_tf.models.layers.frame_attention import CHANNELS, State, onsets

# Frames that are read, relative to the same place in the other bar.
OFFSETS = (-1, 0, 1)


@keras.saving.register_keras_serializable(package="poph_tf")
class ReturningBar(keras.layers.Layer):
    """Reads the cells of an earlier bar, at the same place in the bar and around it.

    Args:
        units: int. Width of the output.
        num_tracks: int. Number of tracks in the channels of the frames.

    Call arguments:
        previous: float [batch, time, track, pitch, channel], frames t - 1.
        returns: int [batch, time]. How many steps back the other bar lies; 0: the bar
            returns to none; -1: unknown, which gives zeros.
        strength: float [batch], a factor; None: 1.

    Output shape: `[time, batch, pitch, units]`.

    Example:
        >>> layer, frames = ReturningBar(4), tf.ones((1, 32, 1, 5, 3))
        >>> out = layer(frames, tf.fill((1, 32), 16))  # each step: one bar back
        >>> out.shape.as_list(), bool(tf.reduce_any(out != 0))  # it begins at zero
        ([32, 1, 5, 4], False)
    """

    def __init__(self, units: int, num_tracks: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.num_tracks = units, num_tracks

    def build(self, *_: Any) -> None:
        """Makes the projection."""
        # Zeros, so that a network trained without the layer can be trained on with it.
        self.kernel = self.add_weight(
            shape=(len(OFFSETS) * self.num_tracks * CHANNELS + 2, self.units),
            initializer="zeros",
            name="kernel",
        )

    def compute_output_shape(self, previous_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        batch, time, _, pitches, _ = previous_shape
        return time, batch, pitches, self.units

    def call(
        self, previous: Tensor, returns: Tensor, strength: Tensor | None = None
    ) -> Tensor:
        """Reads a window; what came before it is unknown."""
        return self.scan(previous, returns, strength, None)

    def scan(
        self,
        previous: Tensor,
        returns: Tensor,
        strength: Tensor | None,
        state: State | None,
    ) -> Tensor:
        """Continues from the frames that `FrameAttention` keeps in its state.

        Args:
            previous: As for a call.
            returns: As for a call.
            strength: As for a call.
            state: As for `FrameAttention`; None if what came before is unknown.

        Returns:
            The output of a call.
        """
        frames = side_by_side(tf.transpose(previous, (0, 1, 3, 2, 4)))
        if state is None:
            silent = tf.zeros_like(previous[:, 0, ..., 0], tf.float32)
            before = tf.reshape(silent, [tf.shape(silent)[0], -1])
            frames = onsets(frames, before, self.num_tracks)
        else:
            new = onsets(frames, state["play"], self.num_tracks)
            frames = tf.concat([state["values"], new], axis=1)
        read = self._read(frames, tf.cast(returns, tf.int32))
        if strength is not None:
            read *= tf.cast(strength, read.dtype)[:, None, None]
        return read

    def _read(self, frames: Tensor, returns: Tensor) -> Tensor:
        """Gathers the frames of the other bars and projects them.

        Args:
            frames: float32 [batch, source, pitch, 2 * track]; the last source is the
                frame before the last step, preceded by the earlier ones without a gap.
            returns: int32 [batch, time].

        Returns:
            float [time, batch, pitch, units].
        """
        num_sources, num_steps = tf.shape(frames)[1], tf.shape(returns)[1]
        # The source of the step itself would be the one after the last.
        at = num_sources - num_steps + 1 + tf.range(num_steps)
        read = []
        for offset in OFFSETS:
            place = at[None] - returns + offset
            # Never read the step itself, however near the other bar is.
            known = (returns > max(offset, 0)) & (place >= 0)
            found = tf.gather(frames, tf.where(known, place, 0), batch_dims=1)
            read.append(found * tf.cast(known, frames.dtype)[..., None, None])
        flags = tf.stack([returns == 0, returns > 0], axis=-1)
        flags = tf.cast(flags, frames.dtype)[:, :, None]
        flags = tf.repeat(flags, frames.shape[2], axis=2)
        x = tf.concat([*read, flags], axis=-1)
        x = tf.transpose(tf.cast(x, self.compute_dtype), (1, 0, 2, 3))
        # With tf.matmul here, training crashed on two threads (TensorFlow 2.21).
        return tf.tensordot(x, tf.convert_to_tensor(self.kernel), 1)
