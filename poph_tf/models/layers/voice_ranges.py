"""How high and low each voice sings.

Training transposes the music, so a network does not learn the register of a voice: its
pieces begin anywhere. The pitches of each voice are therefore counted before
transposition, for the sampler.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor


@keras.saving.register_keras_serializable(package="poph_tf")
class VoiceRanges(keras.layers.Layer):
    """How much rarer each pitch of a voice is than in the transposed music.

    The table is counted, not learnt.

    Args:
        num_tracks: int.
        num_pitches: int.
    """

    def __init__(self, num_tracks: int, num_pitches: int, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False} | kwargs)
        self.num_tracks, self.num_pitches = num_tracks, num_pitches

    def build(self, *_: Any) -> None:
        """Makes the table, which has no effect until it is counted."""
        # log p(pitch | track) minus the same for transposed music, at most 0.
        self.pitches = self.add_weight(
            shape=(self.num_tracks, self.num_pitches),
            initializer="zeros",
            name="pitches",
        )

    def share_of(self, given: Tensor) -> Tensor:
        """How well given notes fit their voices' ranges, float [batch]; 1 without any.

        Args:
            given: float [batch, track, pitch], the given notes of a step.
        """
        table = tf.convert_to_tensor(self.pitches)
        return tf.exp(tf.reduce_sum(given * table, axis=(1, 2)))

    def bias(self, track: int, share: Tensor) -> Tensor:
        """The bias of the logits of a voice's pitches, float [batch, pitch].

        Args:
            track: int.
            share: float [batch], from `share_of`. Given notes in another register
                weaken the bias: they show where the other voices are.
        """
        return tf.convert_to_tensor(self.pitches)[track] * share[:, None]
