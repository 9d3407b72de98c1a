"""What a pitch is told of the notes already chosen in its own frame.

Sources: Johnson (2017), sections 3.2 (the note just below, for the LSTM along pitch)
and 4.1 (window and class counts of the notes chosen, for the NADE).
"""

import keras
import tensorflow as tf

from poph_tf.models.layers import features


@keras.saving.register_keras_serializable(package="poph_tf")
class ChosenNotes(keras.layers.Layer):
    """Features of every pitch from the pitches drawn before it.

    Args:
        kind: str. "note": what was chosen one place before. "window": what was chosen
            in the half of Johnson's window that lies before, and how many of the notes
            chosen are of each class relative to this pitch.
        width: int, odd. Semitones in the whole window.

    Call arguments:
        chosen: float [..., pitch, channel], the whole frame, pitches in draw order.

    Returns:
        float [..., pitch, features]; zeros where nothing is chosen yet.
    """

    def __init__(self, kind="note", width=25, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("note", "window"):
            raise ValueError(f'kind must be "note" or "window", got {kind!r}.')
        self.kind = kind
        self.width = width

    @property
    def reach(self):
        """How many places before a pitch are seen one by one."""
        return 1 if self.kind == "note" else self.width // 2

    def num_features(self, num_channels):
        """How many features a pitch gets, when frames have so many channels."""
        counts = 0 if self.kind == "note" else features.OCTAVE
        return self.reach * num_channels + counts

    def build(self, chosen_shape):
        self.built = True

    def call(self, chosen):
        reach, num_pitches = self.reach, chosen.shape[-2]
        edges = [[0, 0]] * (len(chosen.shape) - 2) + [[reach, 0], [0, 0]]
        padded = tf.pad(chosen, edges)
        seen = [padded[..., k : k + num_pitches, :] for k in range(reach)]
        if self.kind == "window":
            counts = lower_class_counts(chosen[..., 0])
            seen.append(tf.cast(counts, chosen.dtype))
        return tf.concat(seen, axis=-1)

    def zero_state(self, num_rows, num_channels):
        """Before the first pitch: nothing chosen, and no class counts."""
        if self.kind == "note":
            return ()
        window = (num_rows, self.reach, num_channels)
        return tf.zeros(window), tf.zeros((num_rows, features.OCTAVE))

    def step(self, chosen, state):
        """One pitch of the walk.

        Args:
            chosen: float [rows, channel], what was drawn one place before (zeros at
                the first).
            state: pair of the window [rows, reach, channel] and the class counts
                [rows, 12] as the pitch before saw them; empty for "note".

        Returns:
            (float [rows, features], the state after it).
        """
        if self.kind == "note":
            return chosen, state
        before = tf.concat([state[0], chosen[:, None]], axis=1)[:, 1:]
        # One place on, each class lies one lower; the note just before is 11.
        counts = tf.roll(state[1], shift=-1, axis=-1)
        counts += chosen[:, :1] * tf.one_hot(features.OCTAVE - 1, features.OCTAVE)
        width = self.reach * chosen.shape[-1]
        window = tf.reshape(before, (tf.shape(chosen)[0], width))
        return tf.concat([window, counts], axis=-1), (before, counts)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "width": self.width}


def lower_class_counts(play):
    """Counts the notes before each pitch by class, relative to that pitch.

    Args:
        play: float [..., pitch], in draw order.

    Returns:
        float [..., pitch, 12].
    """
    num_pitches = play.shape[-1]
    below = tf.linalg.band_part(tf.ones((num_pitches, num_pitches)), 0, -1)
    below -= tf.eye(num_pitches)  # [m, n]: 1 where m < n
    table = features.relative_class(num_pitches) * below[..., None]
    return tf.einsum("...m,mnk->...nk", tf.cast(play, tf.float32), table)
