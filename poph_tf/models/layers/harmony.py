"""The harmony loss as a layer: PopH's preference for notes of one key."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models import losses


@keras.saving.register_keras_serializable(package="poph_tf")
class HarmonyLoss(keras.layers.Layer):
    """Adds the harmony term to the model's losses and returns the logits unchanged.

    The term is computed from the prediction (a term of the target has no gradient) and
    averaged over the valid steps of the call. A trainer that splits a batch weights the
    parts by their numbers of valid steps.

    Args:
        weight: float. Lambda, the weight of the term in the total loss.
        min_pitch: int. MIDI number of the lowest pitch.
        minor_scale: str. "natural" or "harmonic".

    Call arguments:
        logits: float [batch, time, pitch], of play.
        mask: float [batch, time], 1 for a valid step.

    Output shape: that of `logits`.

    Example:
        >>> layer = HarmonyLoss(weight=2.0, min_pitch=60)
        >>> _ = layer(tf.zeros((1, 1, 12)), tf.ones((1, 1)))
        >>> [round(float(loss), 4) for loss in layer.losses]  # 5 of 12 classes, twice
        [0.8333]

    Reference:
        Anokhin and Nuzhin, PopH (2018), "harmony loss".
    """

    def __init__(
        self, weight: float, min_pitch: int, minor_scale: str = "natural", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.min_pitch = min_pitch
        self.minor_scale = minor_scale

    def call(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Adds the loss of a batch."""
        play = tf.sigmoid(tf.cast(logits, tf.float32))
        term = losses.harmony(play, self.min_pitch, self.minor_scale)
        mask = tf.cast(mask, tf.float32)
        mean = tf.math.divide_no_nan(tf.reduce_sum(term * mask), tf.reduce_sum(mask))
        self.add_loss(self.weight * mean)
        return logits
