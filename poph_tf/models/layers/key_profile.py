"""How often each pitch class has sounded so far: what key a piece is in, and came from.

A state that is learnt keeps the key of the last bars; to end where it began, a piece
needs the key of all of them. Profiles of pitch classes tell it (Krumhansl, *Cognitive
Foundations of Musical Pitch*, 1990).
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.layers.features import OCTAVE

# All steps; the first ones; those of a chord that has stood still for longer than a
# quarter, as the last ones of phrases do.
PROFILES = 3
OPENING_STEPS = 16
STILL_STEPS = 4
# A class that sounds a quarter of the time reads 1.
SCALE = 4.0

State = dict[str, Tensor]


@keras.saving.register_keras_serializable(package="poph_tf")
class KeyProfile(keras.layers.Layer):
    """Reads how much of the time each pitch class has sounded, relative to each pitch.

    Args:
        num_tracks: int. Tracks whose channels lie side by side.

    Call arguments:
        frames: float [time, batch, pitch, channel], play of each track first, then
            replay if the model has it.

    Output shape: `[time, batch, pitch, profile * track * 12]`: for pitch n and place k
    the share of the time in which the class k semitones above n sounded, of three times
    (see `PROFILES`) up to and with each step.
    """

    def __init__(self, num_tracks: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tracks = num_tracks

    def call(self, frames: Tensor) -> Tensor:
        """Computes the profiles of a window; what came before it is unknown."""
        state = self.zero_state(tf.shape(frames)[1], frames.shape[2])
        return self.scan(frames, state)[0]

    def zero_state(self, batch_size: Tensor, num_pitches: int) -> State:
        """Returns empty sums, and a silent frame."""
        return {
            "sums": tf.zeros((batch_size, PROFILES, self.num_tracks * OCTAVE)),
            "steps": tf.zeros((batch_size, PROFILES)),
            "play": tf.zeros((batch_size, num_pitches, self.num_tracks)),
            "still": tf.zeros((batch_size, STILL_STEPS - 1)),
        }

    def scan(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Computes the profiles of steps, and the state after them."""
        channels = frames.shape[-1] // self.num_tracks
        play = tf.cast(frames[..., ::channels], tf.float32)
        still = self._still(frames, play, state)
        all_still = [still[k : k + tf.shape(play)[0]] for k in range(STILL_STEPS)]
        number = tf.range(tf.shape(play)[0], dtype=tf.float32)[:, None]
        number += state["steps"][None, :, 0]
        weights = [
            tf.ones_like(number),
            tf.cast(number < OPENING_STEPS, tf.float32),
            tf.reduce_prod(tf.stack(all_still, axis=-1), axis=-1),
        ]
        weights = tf.stack(weights, axis=-1)
        classes = weights[..., None] * self._classes(play)[:, :, None]
        sums = tf.cumsum(classes, axis=0) + state["sums"]
        steps = tf.cumsum(weights, axis=0) + state["steps"]
        out = self._relative(SCALE * sums / (steps + 1.0)[..., None], play.shape[2])
        return tf.cast(out, frames.dtype), {
            "sums": sums[-1],
            "steps": steps[-1],
            "play": play[-1],
            "still": tf.transpose(still[-(STILL_STEPS - 1) :]),
        }

    def _still(self, frames: Tensor, play: Tensor, state: State) -> Tensor:
        """1 where nothing begins or ends, [steps before and these, batch]."""
        channels = frames.shape[-1] // self.num_tracks
        before = tf.concat([state["play"][None], play[:-1]], axis=0)
        changes = tf.reduce_sum(tf.abs(play - before), axis=[2, 3])
        if channels > 1:
            replay = tf.cast(frames[..., 1::channels], tf.float32)
            changes += tf.reduce_sum(replay, axis=[2, 3])
        still = tf.maximum(1.0 - changes, 0.0)
        return tf.concat([tf.transpose(state["still"]), still], axis=0)

    def _classes(self, play: Tensor) -> Tensor:
        """Sounding notes by class, [time, batch, track * 12]; the lowest pitch is 0."""
        num_pitches = play.shape[2]
        one_hot = np.eye(OCTAVE, dtype=np.float32)[np.arange(num_pitches) % OCTAVE]
        found = tf.matmul(tf.transpose(play, (0, 1, 3, 2)), one_hot)
        width = [self.num_tracks * OCTAVE]
        return tf.reshape(found, tf.concat([tf.shape(play)[:2], width], axis=0))

    def _relative(self, profiles: Tensor, num_pitches: int) -> Tensor:
        """Turns profiles so that each pitch reads its own class first."""
        time_batch = tf.shape(profiles)[:2]
        width = PROFILES * self.num_tracks
        shape = tf.concat([time_batch, [width, OCTAVE]], axis=0)
        places = np.arange(num_pitches)[:, None] + np.arange(OCTAVE)
        found = tf.gather(tf.reshape(profiles, shape), places % OCTAVE, axis=3)
        found = tf.transpose(found, (0, 1, 3, 2, 4))
        shape = tf.concat([time_batch, [num_pitches, width * OCTAVE]], axis=0)
        return tf.reshape(found, shape)
