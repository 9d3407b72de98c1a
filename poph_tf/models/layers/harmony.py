"""The harmony loss as a layer: PopH's preference for notes of one key."""

import keras
import tensorflow as tf

from poph_tf.models import losses


@keras.saving.register_keras_serializable(package="poph_tf")
class HarmonyLoss(keras.layers.Layer):
    """Adds the harmony term to the model's losses and passes the logits on.

    The term is computed from the prediction (a term of the target would have no
    gradient) and averaged over the valid steps of what the layer is given; a trainer
    that splits a batch weighs the parts by their counts of valid steps.

    Args:
        weight: float. Lambda, its share of the total loss.
        min_pitch: int. MIDI number of the lowest pitch.
        minor_scale: str. "natural" or "harmonic".

    Call arguments:
        logits: float [batch, time, pitch], of play.
        mask: float [batch, time], 1 for a valid step.

    Returns:
        `logits`, unchanged.

    Reference:
        Anokhin and Nuzhin, PopH (2018), "harmony loss".
    """

    def __init__(self, weight, min_pitch, minor_scale="natural", **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.min_pitch = min_pitch
        self.minor_scale = minor_scale

    def call(self, logits, mask):
        play = tf.sigmoid(tf.cast(logits, tf.float32))
        term = losses.harmony(play, self.min_pitch, self.minor_scale)
        mask = tf.cast(mask, tf.float32)
        mean = tf.math.divide_no_nan(tf.reduce_sum(term * mask), tf.reduce_sum(mask))
        self.add_loss(self.weight * mean)
        return logits

    def get_config(self):
        return {
            **super().get_config(),
            "weight": self.weight,
            "min_pitch": self.min_pitch,
            "minor_scale": self.minor_scale,
        }
