"""Note features: what each pitch is told of the previous frame.

The functions are pure and work on frames `[..., pitch, channel]`; `NoteFeatures` joins
those that its options ask for. All commute with a transposition by k semitones, except
pitch position, pitch class, and whatever touches the edge of the roll.

Sources: Johnson (2017), section 4 (window, relative bins); Mao et al. (2018), section
4 (octave convolution, pitch position, pitch class, counts of the own class).
"""

import keras
import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.models.layers.dropout import Dropout

OCTAVE = theory.NUM_PITCH_CLASSES


def pitch_position(num_pitches):
    """n / N for each pitch, float32 [pitch, 1]."""
    return np.arange(num_pitches, dtype=np.float32)[:, None] / num_pitches


def pitch_class_one_hot(num_pitches, min_pitch):
    """One-hot of each pitch's class (C = 0), float32 [pitch, 12]."""
    return np.eye(OCTAVE, dtype=np.float32)[
        (np.arange(num_pitches) + min_pitch) % OCTAVE
    ]


def same_class(num_pitches):
    """1 where two pitches are of one class, float32 [pitch, pitch]."""
    pitches = np.arange(num_pitches)
    difference = pitches[:, None] - pitches[None, :]
    return (difference % OCTAVE == 0).astype(np.float32)


def relative_class(num_pitches):
    """1 where pitch m lies k classes above pitch n, float32 [m, n, k of 12]."""
    pitches = np.arange(num_pitches)
    difference = (pitches[:, None] - pitches[None, :]) % OCTAVE
    return (difference[..., None] == np.arange(OCTAVE)).astype(np.float32)


def own_class_count(play):
    """Counts the sounding notes of each pitch's own class.

    Args:
        play: float [..., pitch].

    Returns:
        float [..., pitch, 1]. Reference: Mao et al. (2018), "pitch bins".
    """
    return tf.matmul(play[..., None, :], same_class(play.shape[-1]))[..., 0, :, None]


def relative_class_counts(play):
    """Counts the sounding notes of each class, relative to each pitch.

    Args:
        play: float [..., pitch].

    Returns:
        float [..., pitch, 12]: at pitch n and place k the number of sounding notes k
        classes above n. Reference: Johnson (2017), "pitch class bins".
    """
    return tf.einsum("...m,mnk->...nk", play, relative_class(play.shape[-1]))


def window(frames, width):
    """Looks at the pitches around each pitch.

    Args:
        frames: float [..., pitch, channel].
        width: int, odd: `width // 2` semitones to either side; 0 beyond the edges.

    Returns:
        float [..., pitch, width * channel], from below to above.
        Reference: Johnson (2017), "note vicinity", width 25.
    """
    num_pitches, reach = frames.shape[-2], width // 2
    edges = [[0, 0]] * (len(frames.shape) - 2) + [[reach, reach], [0, 0]]
    padded = tf.pad(frames, edges)
    views = [padded[..., k : k + num_pitches, :] for k in range(width)]
    return tf.concat(views, axis=-1)


@keras.saving.register_keras_serializable(package="poph_tf")
class NoteFeatures(keras.layers.Layer):
    """Features of every pitch from the previous frame and the bar position.

    In this order: the neighbourhood (octave convolution, or Johnson's window), pitch
    position, pitch class, class counts, bar position. Johnson's features have no pitch
    class one-hot, since his networks share no absolute key.

    Args:
        min_pitch: int. MIDI number of the lowest pitch.
        kind: str. "convolution" (DeepJ) or "window" (Johnson).
        filters: int. Filters of the octave convolution.
        width: int. Semitones that the convolution, or the window, spans.
        class_counts: str. "own" or "relative".
        bar_positions: int. Places of the bar position's one-hot; 0 leaves it out.
        dropout: float. Dropout after the convolution.

    Call arguments:
        frames: float [batch, time, pitch, channel], play first.
        bar_position: float [batch, time, bar_positions], a one-hot, or None.

    Returns:
        float [batch, time, pitch, features].

    Raises:
        ValueError: If `kind` or `class_counts` is none of the above.

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9; Mao et al. (2018),
        arXiv:1801.00887.
    """

    def __init__(
        self,
        min_pitch,
        kind="convolution",
        filters=64,
        width=24,
        class_counts="own",
        bar_positions=16,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kind not in ("convolution", "window"):
            raise ValueError(f"kind must be convolution or window, got {kind!r}.")
        if class_counts not in ("own", "relative"):
            raise ValueError(f"class_counts must be own or relative: {class_counts!r}.")
        self.min_pitch = min_pitch
        self.kind = kind
        self.filters = filters
        self.width = width
        self.class_counts = class_counts
        self.bar_positions = bar_positions
        self.dropout = dropout
        if kind == "convolution":
            self.convolution = keras.layers.Conv1D(
                filters, width, padding="same", activation="tanh", name="octave"
            )
            self.convolution_dropout = Dropout(dropout)

    def build(self, frames_shape, bar_position_shape=None):
        if self.kind == "convolution":
            self.convolution.build((None, *frames_shape[-2:]))
        self.built = True

    def call(self, frames, bar_position=None, training=None):
        near = (
            self._convolve(frames, training)
            if self.kind == "convolution"
            else window(frames, self.width)
        )
        play = frames[..., 0]
        counts = (
            own_class_count(play)
            if self.class_counts == "own"
            else relative_class_counts(play)
        )
        parts = [near, self._constants(frames), counts]
        if self.bar_positions:
            parts.append(self._repeat_over_pitches(bar_position, frames.shape[-2]))
        return tf.concat([tf.cast(part, near.dtype) for part in parts], axis=-1)

    def _convolve(self, frames, training):
        shape = tf.shape(frames)
        folded = tf.reshape(frames, (-1, *frames.shape[-2:]))
        near = self.convolution(folded)
        near = tf.reshape(near, (shape[0], shape[1], frames.shape[-2], self.filters))
        return self.convolution_dropout(near, training=training)

    def _constants(self, frames):
        num_pitches = frames.shape[-2]
        parts = [pitch_position(num_pitches)]
        if self.kind == "convolution":
            parts.append(pitch_class_one_hot(num_pitches, self.min_pitch))
        constants = np.concatenate(parts, axis=-1)
        shape = tf.concat([tf.shape(frames)[:2], constants.shape], axis=0)
        return tf.broadcast_to(constants, shape)

    @staticmethod
    def _repeat_over_pitches(bar_position, num_pitches):
        return tf.repeat(bar_position[:, :, None, :], num_pitches, axis=2)

    def get_config(self):
        return {
            **super().get_config(),
            "min_pitch": self.min_pitch,
            "kind": self.kind,
            "filters": self.filters,
            "width": self.width,
            "class_counts": self.class_counts,
            "bar_positions": self.bar_positions,
            "dropout": self.dropout,
        }
