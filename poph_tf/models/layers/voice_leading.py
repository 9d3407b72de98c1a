"""How the interval between two voices changes from step to step.

Parallel, contrary and oblique motion, suspensions and their resolutions are properties
of two successive intervals. A window of notes around a pitch holds both, but a small
layer is bad at learning a table of such pairs; here it is a table.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.features import OCTAVE, side_by_side
from poph_tf.models.layers.look_ahead import known_tracks

# Intervals in semitones modulo an octave; the last one means that a voice rests.
INTERVALS = OCTAVE + 1
# Contrary motion, no or oblique motion, similar motion.
MOTIONS = 3


@keras.saving.register_keras_serializable(package="poph_tf")
class VoiceLeading(keras.layers.Layer):
    """Rates each pitch of a voice by how its interval to other voices would change.

    For each other voice whose note is known in this step, adds an embedding of the
    interval before, the interval now, and whether both voices move the same way. The
    embeddings start as zeros.

    Args:
        units: int. Width of the output.
        track: int. Index of the voice.
        others: list of int. Indices of the other voices.
        strengths: list of float. Weight of each of these; None: all 1.

    Call arguments:
        play: float [batch, time, track, pitch], the notes of this step.
        before: float [batch, time, track, pitch], those of the step before.
        given: float [batch, time, track]. The notes of tracks before `track` and of
            given tracks are read.

    Output shape: `[time, batch, pitch, units]`.

    Example:
        >>> layer, frames = VoiceLeading(4, 1, [0]), tf.zeros((1, 8, 2, 48))
        >>> layer(frames, frames, tf.zeros((1, 8, 2))).shape.as_list()  # time first
        [8, 1, 48, 4]
    """

    def __init__(
        self,
        units: int,
        track: int,
        others: list[int],
        strengths: list[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.track, self.others = units, track, others
        self.strengths = strengths or [1.0] * len(others)

    def build(self, *_: Any) -> None:
        """Makes the table."""
        self.table = self.add_weight(
            shape=(INTERVALS, INTERVALS * MOTIONS * self.units),
            initializer="zeros",
            name="table",
        )

    def compute_output_shape(self, play_shape: tuple) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        batch, time, _, pitches = play_shape
        return time, batch, pitches, self.units

    def call(self, play: Tensor, before: Tensor, given: Tensor) -> Tensor:
        """Computes the sum of the embeddings."""
        known = known_tracks(given, self.track, self.others) * self.strengths
        own, own_sounds = _places(before[:, :, self.track : self.track + 1])
        was, was_sounds = _places(tf.gather(before, self.others, axis=2))
        now, sounds = _places(tf.gather(play, self.others, axis=2))
        interval = _interval(was, own, own_sounds & was_sounds)
        moved = tf.where(sounds & was_sounds, tf.sign(now - was), 0)
        pitches = tf.range(play.shape[3])
        moves = tf.where(own_sounds, tf.sign(pitches - own), 0)
        new = _interval(now[..., None], pitches, sounds[..., None])
        motion = moved[..., None] * moves[:, :, None] + 1
        change = tf.one_hot(new * MOTIONS + motion, INTERVALS * MOTIONS)
        return self._look_up(interval, change, known)

    def _look_up(self, interval: Tensor, change: Tensor, known: Tensor) -> Tensor:
        """The rows of the table, summed over the other voices.

        Args:
            interval: int32 [batch, time, voice].
            change: float [batch, time, voice, pitch, interval and motion].
            known: float [batch, time, voice].
        """
        table = tf.convert_to_tensor(self.table)
        first = tf.cast(tf.one_hot(interval, INTERVALS), table.dtype)
        first *= tf.cast(known, table.dtype)[..., None]
        # As one matrix: with the table and 86 or more rows of one step, oneDNN gives
        # wrong results or crashes.
        rows = tf.matmul(tf.reshape(first, (-1, INTERVALS)), table)
        width = len(self.others) * INTERVALS * MOTIONS
        places = tf.shape(interval)[:2]
        rows = tf.reshape(rows, tf.concat([places, [width, self.units]], axis=0))
        change = tf.transpose(tf.cast(change, table.dtype), (0, 1, 3, 2, 4))
        change = side_by_side(change)
        return tf.transpose(tf.matmul(change, rows), (1, 0, 2, 3))


def _places(play: Tensor) -> tuple[Tensor, Tensor]:
    """The pitch of each voice, int32 [batch, time, voice], and whether it sounds."""
    places = tf.range(play.shape[3], dtype=tf.float32)
    place = tf.reduce_sum(tf.cast(play, tf.float32) * places, axis=3)
    return tf.cast(place, tf.int32), tf.reduce_max(play, axis=3) > 0


def _interval(above: Tensor, below: Tensor, both: Tensor) -> Tensor:
    return tf.where(both, tf.math.floormod(above - below, OCTAVE), OCTAVE)
