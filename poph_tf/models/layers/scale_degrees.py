"""Which degree of the key, or of the chord, a pitch is.

Without it, a network has to find the tonic in the notes drawn so far, separately at
each pitch, and keep it to the end.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.theory import NUM_PITCH_CLASSES as OCTAVE


@keras.saving.register_keras_serializable(package="poph_tf")
class ScaleDegrees(keras.layers.Layer):
    """Embeds how far each pitch lies above a root, by kind of key or chord and place.

    Args:
        units: int. Width of the embedding.
        min_pitch: int. MIDI number of the lowest pitch.
        num_pitches: int.
        num_places: int. Each place has its own table.
        num_kinds: int. Kinds of keys (major and minor) or chords, of 12 roots each.

    Call arguments:
        key: int [batch, time], 0..11 for the first kind on C, C#, ..., 12..23 for the
            second, and so on; -1 is unknown and gives zeros.
        place: int [batch, time], below `num_places`.
        strength: float [batch], a factor; None: 1.

    Output shape: `[time, batch, pitch, units]`.

    Example:
        >>> layer = ScaleDegrees(4, min_pitch=60, num_pitches=5)
        >>> layer.degrees[[0, 14]].tolist()  # C to E in C major and in D minor
        [[0, 1, 2, 3, 4], [22, 23, 12, 13, 14]]
    """

    def __init__(
        self,
        units: int,
        min_pitch: int,
        num_pitches: int,
        num_places: int = 1,
        num_kinds: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.num_places = units, num_places
        self.num_kinds, self.num_keys = num_kinds, num_kinds * OCTAVE
        self.min_pitch, self.num_pitches = min_pitch, num_pitches
        # For each key and pitch: semitones above the root, those in minor from 12 on.
        keys = np.arange(self.num_keys)[:, None]
        pitches = np.arange(num_pitches) + min_pitch
        self.degrees = (pitches - keys) % OCTAVE + keys // OCTAVE * OCTAVE

    def build(self, *_: Any) -> None:
        """Makes the table of degrees."""
        # Zeros, so that a network trained without the layer can be trained on with it.
        self.table = self.add_weight(
            shape=(self.num_places, self.num_keys * self.units),
            initializer="zeros",
            name="table",
        )

    def call(
        self, key: Tensor, place: Tensor, strength: Tensor | None = None
    ) -> Tensor:
        """Looks up the embeddings."""
        # Matrix products, so that the gradient is not sparse.
        table = tf.convert_to_tensor(self.table)
        at = tf.one_hot(_time_major(place), self.num_places, dtype=table.dtype)
        rows = tf.matmul(at, table)
        every = tf.one_hot(self.degrees, self.num_keys, dtype=table.dtype)
        every = tf.reshape(every, (self.num_keys, -1))
        known = tf.one_hot(_time_major(key), self.num_keys, dtype=table.dtype)
        if strength is not None:
            known *= tf.cast(strength, table.dtype)[:, None]
        degrees = tf.matmul(known, every)
        grid = tf.shape(rows)[:2]
        shapes = (
            [self.num_keys, self.units],
            [self.num_pitches, self.num_keys],
        )
        rows, degrees = (
            tf.reshape(x, tf.concat([grid, shape], axis=0))
            for x, shape in zip((rows, degrees), shapes, strict=True)
        )
        return tf.matmul(degrees, rows)


def _time_major(numbers: Tensor) -> Tensor:
    return tf.transpose(tf.cast(numbers, tf.int32))
