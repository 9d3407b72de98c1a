"""How chords follow each other: in each beat, the chord is drawn first.

A network that only reads frames moves from chord to chord by local fit and seldom
arrives. Here the chord of a beat is drawn before its notes, from tables counted in the
training music, and the network is conditioned on it. Where notes are given, chords are
drawn that lead to them: the chain is a hidden Markov model, and a backward pass from
the end accounts for what is still to come.

Phrases return: after a run of chords that occurred before, on the same beats of a bar,
the chord that followed then is more probable, the more so the longer the run.

Sources: Rabiner, A Tutorial on Hidden Markov Models (1989), doi:10.1109/5.18626, the
    backward procedure; Kuhn and De Mori, A Cache-Based Natural Language Model for
    Speech Recognition (1990), doi:10.1109/34.56193, for returning phrases.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf import theory
from poph_tf.theory import (
    CHORD_KINDS,
    NUM_CHORDS,
    NUM_KEYS,
    NUM_PITCH_CLASSES,
    STEPS_OF_BEAT,
    UNKNOWN,
)

NUM_MODES = NUM_KEYS // NUM_PITCH_CLASSES
# Chords are counted from the tonic; the number after them: notes that form no triad.
OTHER = NUM_CHORDS
NUM_DEGREES = NUM_CHORDS + 1
# Notes held through a beat are not independent evidence in each of its steps.
HEARD = 0.5
# Factor of a pitch's bias for its chords, so that a chord that the user names outweighs
# the tables, and the least bias that counts, for where nothing is allowed.
OBEYED, LEAST_BIAS = 10.0, -100.0
TONES = 3
# Beats to search for earlier runs of chords; longer runs count as LONGEST_RUN.
REACH, LONGEST_RUN = 64, 8
MEMORY = REACH + LONGEST_RUN
_CLASSES = np.arange(NUM_PITCH_CLASSES)
# float32 [class, triad]: 1 inside, both counted from the tonic.
_IN_TRIADS = np.float32(theory.triads() > 0)


@keras.saving.register_keras_serializable(package="poph_tf")
class ChordProgression(keras.layers.Layer):
    """A Markov chain of chords, beat by beat; its tables are counted, not learnt.

    A degree is a chord counted from the tonic: 0..11 major chords on the tonic and the
    semitones above, then minor and diminished ones; `OTHER` is none of these.

    Args:
        num_places: int. Places in a piece and a bar, each with its own table.
    """

    def __init__(self, num_places: int, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False} | kwargs)
        self.num_places = num_places

    def build(self, *_: Any) -> None:
        """Makes the tables, which have no effect until they are counted."""
        # log p(degree | the degree before); the first row: nothing before.
        self.transitions = self.add_weight(
            shape=(NUM_MODES * self.num_places, 1 + NUM_DEGREES, NUM_DEGREES),
            initializer="zeros",
            name="transitions",
        )
        # log p(semitones of a note above the root | kind).
        self.notes = self.add_weight(
            shape=(len(CHORD_KINDS) + 1, NUM_PITCH_CLASSES),
            initializer="zeros",
            name="notes",
        )
        # Log-odds added to the chord that followed then, by the length of a run.
        self.repeats = self.add_weight(
            shape=(self.num_places, 1 + LONGEST_RUN),
            initializer="zeros",
            name="repeats",
        )

    def following(self, before: Tensor, key: Tensor, place: Tensor) -> Tensor:
        """Looks up how probable each degree is after another.

        Args:
            before: int32 [batch], 1 + the degree before; 0: none.
            key: int32 [batch], 0..23.
            place: int32 [batch].

        Returns:
            float [batch, degree], log-probabilities.
        """
        at = tf.stack([self._table(key, place), before], axis=1)
        return tf.gather_nd(tf.convert_to_tensor(self.transitions), at)

    def returning(self, past: Tensor, place: Tensor) -> Tensor:
        """Favours the degree that followed an earlier run of the same chords.

        Args:
            past: int32 [batch, MEMORY], see `runs`.
            place: int32 [batch], of the next degree.

        Returns:
            float [batch, degree], to add to log-probabilities.
        """
        length, then = runs(past)
        at = tf.stack([place, length], axis=1)
        gain = tf.gather_nd(tf.convert_to_tensor(self.repeats), at)
        return gain[:, None] * tf.one_hot(before_of(then) - 1, NUM_DEGREES)

    def preceding(self, after: Tensor, key: Tensor, place: Tensor) -> Tensor:
        """Takes one backward step: what is to come, as seen from the beat before.

        Args:
            after: float [batch, degree], log-probability of all that is given from a
                beat on, by the degree of that beat.
            key: int32 [batch], 0..23.
            place: int32 [batch], of that beat.

        Returns:
            float [batch, degree], the same by the degree of the beat before, up to a
            constant.
        """
        table = tf.convert_to_tensor(self.transitions)
        rows = tf.gather(table, self._table(key, place))[:, 1:]
        found = tf.reduce_logsumexp(rows + after[:, None], axis=2)
        return found - tf.reduce_max(found, axis=1, keepdims=True)

    def heard(self, play: Tensor, key: Tensor, min_pitch: int) -> Tensor:
        """Evidence of the given notes for each degree, float [batch, degree].

        Args:
            play: float [batch, track, pitch], of the given notes only.
            key: int32 [batch], 0..23.
            min_pitch: MIDI number of the first pitch.
        """
        pitches = tf.range(play.shape[2]) + min_pitch
        above = tf.math.floormod(pitches - key[:, None], NUM_PITCH_CLASSES)
        classes = tf.one_hot(above, NUM_PITCH_CLASSES, dtype=play.dtype)
        counts = tf.matmul(tf.reduce_sum(play, axis=1)[:, None], classes)[:, 0]
        by_kind = tf.gather(tf.convert_to_tensor(self.notes), _ABOVE_ROOT, axis=1)
        by_degree = tf.reshape(by_kind[:-1], (NUM_CHORDS, NUM_PITCH_CLASSES))
        other = tf.convert_to_tensor(self.notes)[-1:]
        table = tf.concat([by_degree, other], axis=0)
        return HEARD * tf.matmul(counts, table, transpose_b=True)

    def allowed(self, bias: Tensor, key: Tensor, min_pitch: int) -> Tensor:
        """Turns a bias of pitches into one of degrees, float [batch, degree].

        Args:
            bias: float [batch, pitch], added to the logits of pitches; 0: no change.
            key: int32 [batch], 0..23.
            min_pitch: MIDI number of the first pitch.
        """
        pitches = np.arange(bias.shape[1]) + min_pitch
        apart = pitches[:, None] % NUM_PITCH_CLASSES != np.arange(NUM_PITCH_CLASSES)
        # A class is as free as the freest of its pitches.
        classes = tf.reduce_max(bias[:, :, None] - 1e9 * np.float32(apart), axis=1)
        classes = tf.maximum(classes, LEAST_BIAS)
        above = tf.math.floormod(key[:, None] + _CLASSES, NUM_PITCH_CLASSES)
        above = tf.gather(classes, above, batch_dims=1)
        triads = tf.matmul(above, _IN_TRIADS)
        other = TONES * tf.reduce_mean(above, axis=1, keepdims=True)
        return OBEYED * tf.concat([triads, other], axis=1)

    def _table(self, key: Tensor, place: Tensor) -> Tensor:
        # An unknown key must read some table, too; the network does not get its chord.
        mode = tf.maximum(key, 0) // NUM_PITCH_CLASSES
        return mode * self.num_places + place


# [root, class]: how far a class lies above a root, both counted from the tonic.
_ABOVE_ROOT = (
    np.arange(NUM_PITCH_CLASSES) - np.arange(NUM_PITCH_CLASSES)[:, None]
) % NUM_PITCH_CLASSES


def runs(past: Tensor) -> tuple[Tensor, Tensor]:
    """Finds the latest earlier occurrence of the longest run of chords up to now.

    Args:
        past: int32 [batch, MEMORY], entries made by `entry`, the latest last: a run
            only matches on the same beats of a bar.

    Returns:
        int32 [batch], its length, 0..LONGEST_RUN, and the entry that followed it then.
    """
    back = past[:, ::-1]
    now = back[:, :LONGEST_RUN, None]
    # [batch, chord of the run, beats ago]
    then = tf.stack([back[:, k + 1 : k + 1 + REACH] for k in range(LONGEST_RUN)], 1)
    same = tf.cast((now == then) & (now > 0), tf.int32)
    breaks = tf.cumsum(1 - same, axis=1)
    length = tf.reduce_sum(tf.cast(breaks == 0, tf.int32), axis=1)
    longest = tf.argmax(length, axis=1, output_type=tf.int32)
    chosen = tf.one_hot(longest, REACH, dtype=tf.int32)
    after = tf.reduce_sum(chosen * back[:, :REACH], axis=1)
    return tf.reduce_max(length, axis=1), after


def entry(degree: Tensor, bar_position: Tensor) -> Tensor:
    """A degree on a beat of a bar as one number, int32, from 1; 0 is none."""
    return 1 + degree + NUM_DEGREES * (bar_position // STEPS_OF_BEAT)


def before_of(entries: Tensor) -> Tensor:
    """1 + the degrees of entries, int32; 0 for none."""
    return tf.where(entries > 0, 1 + (entries - 1) % NUM_DEGREES, 0)


def chord_of(degree: Tensor, key: Tensor) -> Tensor:
    """The chord of a degree in a key, int32; -1 for none or without a key."""
    return tf.where((degree < OTHER) & (key >= 0), _moved(degree, key), UNKNOWN)


def degree_of(chord: Tensor, key: Tensor) -> Tensor:
    """The inverse of `chord_of`; `OTHER` for none."""
    return tf.where(chord >= 0, _moved(chord, -key), OTHER)


def _moved(chord: Tensor, semitones: Tensor) -> Tensor:
    root = tf.math.floormod(chord + semitones, NUM_PITCH_CLASSES)
    return chord - tf.math.floormod(chord, NUM_PITCH_CLASSES) + root
