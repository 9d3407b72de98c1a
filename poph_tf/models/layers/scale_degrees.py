"""Which degree of the key a pitch is.

Without it a network has to find the tonic in what it has drawn so far, at each pitch by
itself, and keep it to the end.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.theory import NUM_KEYS
from poph_tf.theory import NUM_PITCH_CLASSES as OCTAVE


@keras.saving.register_keras_serializable(package="poph_tf")
class ScaleDegrees(keras.layers.Layer):
    """Embeds each pitch's degree of the key, in major and in minor, at some places.

    Args:
        units: int. Width of the embedding.
        min_pitch: int. MIDI number of the lowest pitch.
        num_pitches: int.
        num_places: int. Each place has a table of its own.

    Call arguments:
        key: int [batch, time], 0..11 the major keys on C, C#, ..., 12..23 the minor
            ones; -1 is unknown and gives zeros.
        place: int [batch, time], below `num_places`.
        strength: float [batch], a factor; None: 1.

    Output shape: `[time, batch, pitch, units]`.
    """

    def __init__(
        self,
        units: int,
        min_pitch: int,
        num_pitches: int,
        num_places: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.num_places = units, num_places
        self.min_pitch, self.num_pitches = min_pitch, num_pitches
        # Of each key and pitch: semitones above the tonic, those in minor from 12 on.
        keys = np.arange(NUM_KEYS)[:, None]
        pitches = np.arange(num_pitches) + min_pitch
        self.degrees = (pitches - keys) % OCTAVE + keys // OCTAVE * OCTAVE

    def build(self, *_: Any) -> None:
        """Makes the table of degrees."""
        # At zero, so that a network without it can be trained on with it.
        self.table = self.add_weight(
            shape=(self.num_places, NUM_KEYS * self.units),
            initializer="zeros",
            name="table",
        )

    def call(
        self, key: Tensor, place: Tensor, strength: Tensor | None = None
    ) -> Tensor:
        """Looks the embeddings up."""
        # Products, for a gradient that is not sparse.
        table = tf.convert_to_tensor(self.table)
        at = tf.one_hot(_time_major(place), self.num_places, dtype=table.dtype)
        rows = tf.matmul(at, table)
        every = tf.one_hot(self.degrees, NUM_KEYS, dtype=table.dtype)
        every = tf.reshape(every, (NUM_KEYS, -1))
        known = tf.one_hot(_time_major(key), NUM_KEYS, dtype=table.dtype)
        if strength is not None:
            known *= tf.cast(strength, table.dtype)[:, None]
        degrees = tf.matmul(known, every)
        grid = tf.shape(rows)[:2]
        shapes = ([NUM_KEYS, self.units], [self.num_pitches, NUM_KEYS])
        rows, degrees = (
            tf.reshape(x, tf.concat([grid, shape], axis=0))
            for x, shape in zip((rows, degrees), shapes, strict=True)
        )
        return tf.matmul(degrees, rows)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("units", "min_pitch", "num_pitches", "num_places")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _time_major(numbers: Tensor) -> Tensor:
    return tf.transpose(tf.cast(numbers, tf.int32))
