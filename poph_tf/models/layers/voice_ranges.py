"""How high and low each voice sings.

Training transposes the music, so a network knows no register of a voice: what it
composes begins anywhere. The pitches of each voice are counted before they are
transposed, and told to the sampler.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor


@keras.saving.register_keras_serializable(package="poph_tf")
class VoiceRanges(keras.layers.Layer):
    """How seldom each pitch of a voice is beside what transposed music says of it.

    Counted, not learnt.

    Args:
        num_tracks: int.
        num_pitches: int.
    """

    def __init__(self, num_tracks: int, num_pitches: int, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False} | kwargs)
        self.num_tracks, self.num_pitches = num_tracks, num_pitches

    def build(self, *_: Any) -> None:
        """Makes the table; as good as none until it is counted."""
        # log p(pitch | track) less the same of transposed music, at most 0.
        self.pitches = self.add_weight(
            shape=(self.num_tracks, self.num_pitches),
            initializer="zeros",
            name="pitches",
        )

    def share_of(self, given: Tensor) -> Tensor:
        """How far given notes lie where their voices are, float [batch]; 1 if none are.

        Args:
            given: float [batch, track, pitch], the given notes of a step.
        """
        table = tf.convert_to_tensor(self.pitches)
        return tf.exp(tf.reduce_sum(given * table, axis=(1, 2)))

    def bias(self, track: int, share: Tensor) -> Tensor:
        """What is added to the logits of a voice's pitches, float [batch, pitch].

        Args:
            track: int.
            share: float [batch], from `share_of`. Given notes in another register say
                where the other voices are.
        """
        return tf.convert_to_tensor(self.pitches)[track] * share[:, None]
