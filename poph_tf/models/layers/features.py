"""Features of each pitch of the previous frame.

The functions are pure and take frames `[..., pitch, channel]`; `NoteFeatures` joins
those that its options select. All commute with transposition by k semitones, except
pitch position, pitch class, and whatever reaches past the edge of the grid.

Sources: Johnson (2017), section 4 (window, relative counts); Mao et al. (2018), section
4 (octave convolution, pitch position, pitch class, counts of the own class).
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf import theory
from poph_tf.models.layers.dropout import Dropout

OCTAVE = theory.NUM_PITCH_CLASSES
# Allowed values by argument of `NoteFeatures`.
CHOICES = {"kind": ("convolution", "window"), "class_counts": ("own", "relative")}


def side_by_side(x: Tensor) -> Tensor:
    """Merges the last two axes, whose lengths are known.

    Args:
        x: float [..., track, channel], or any other last two axes.

    Returns:
        float [..., track * channel].
    """
    width = x.shape[-2] * x.shape[-1]
    return tf.reshape(x, tf.concat([tf.shape(x)[:-2], [width]], axis=0))


def pitch_position(num_pitches: int) -> np.ndarray:
    """Returns n / N for pitch n of N, float32 [pitch, 1].

    Example:
        >>> pitch_position(4)[:, 0].tolist()
        [0.0, 0.25, 0.5, 0.75]
    """
    return np.arange(num_pitches, dtype=np.float32)[:, None] / num_pitches


def pitch_class_one_hot(num_pitches: int, min_pitch: int) -> np.ndarray:
    """Returns the one-hot of each pitch's class (C = 0), float32 [pitch, 12].

    Example:
        >>> pitch_class_one_hot(3, min_pitch=59).argmax(axis=1).tolist()
        [11, 0, 1]
    """
    pitches = np.arange(num_pitches) + min_pitch
    return np.eye(OCTAVE, dtype=np.float32)[pitches % OCTAVE]


def relative_class(num_pitches: int) -> np.ndarray:
    """Returns 1 where pitch m is k classes above pitch n, float32 [m, n, k of 12]."""
    pitches = np.arange(num_pitches)
    difference = (pitches[:, None] - pitches[None, :]) % OCTAVE
    return (difference[..., None] == np.arange(OCTAVE)).astype(np.float32)


def own_class_count(play: Tensor) -> Tensor:
    """Counts the sounding notes of each pitch's own class.

    Args:
        play: float [..., pitch].

    Returns:
        float [..., pitch, 1].

    Reference:
        Mao et al. (2018), "pitch bins", arXiv:1801.00887.
    """
    same_class = relative_class(play.shape[-1])[..., 0]
    return tf.matmul(play[..., None, :], same_class)[..., 0, :, None]


def relative_class_counts(play: Tensor) -> Tensor:
    """Counts the sounding notes of each class, relative to each pitch.

    Args:
        play: float [..., pitch].

    Returns:
        float [..., pitch, 12]: for pitch n and place k the number of sounding notes
        whose class is k semitones above that of n.

    Reference:
        Johnson (2017), "pitch class bins", doi:10.1007/978-3-319-55750-2_9
    """
    return tf.einsum("...m,mnk->...nk", play, relative_class(play.shape[-1]))


def window(frames: Tensor, width: int) -> Tensor:
    """Collects the cells around each pitch.

    Args:
        frames: float [..., pitch, channel].
        width: Odd: `width // 2` semitones to either side; zeros past the edges.

    Returns:
        float [..., pitch, width * channel], from low to high.

    Reference:
        Johnson (2017), "note vicinity", width 25, doi:10.1007/978-3-319-55750-2_9
    """
    num_pitches, reach = frames.shape[-2], width // 2
    edges = [[0, 0]] * (len(frames.shape) - 2) + [[reach, reach], [0, 0]]
    padded = tf.pad(frames, edges)
    # One gather instead of a slice for each place: a converted step is mostly overhead
    # of small operations.
    places = np.arange(num_pitches)[:, None] + np.arange(width)
    return side_by_side(tf.gather(padded, places, axis=-2))


@keras.saving.register_keras_serializable(package="poph_tf")
class NoteFeatures(keras.layers.Layer):
    """Joins features of the previous frame and the bar position at every pitch.

    In this order: the neighbourhood (octave convolution, or Johnson's window), pitch
    position, pitch class, class counts, bar position. With Johnson's window there is no
    pitch class, because his networks do not know the absolute key.

    Args:
        min_pitch: int. MIDI number of the lowest pitch.
        kind: str. "convolution" (DeepJ) or "window" (Johnson).
        filters: int. Filters of the octave convolution.
        width: int. Semitones under the convolution or the window.
        class_counts: str. "own" or "relative".
        dropout: float. Dropout after the convolution.
        num_tracks: int. Number of tracks in the channels; classes are counted in each.

    Call arguments:
        frames: float [batch, time, pitch, channel], play first; with tracks their
            channels side by side.
        bar_position: float [batch, time, places], features of the position in time,
            or None.

    Output shape: `[batch, time, pitch, features]`.

    Raises:
        ValueError: If `kind` or `class_counts` is none of the above.

    Example:
        >>> frames = tf.zeros((1, 4, 48, 3))
        >>> for kind in CHOICES["kind"]:
        ...     print(kind, NoteFeatures(36, kind, width=25)(frames).shape.as_list())
        convolution [1, 4, 48, 78]
        window [1, 4, 48, 77]

    Reference:
        Johnson (2017), doi:10.1007/978-3-319-55750-2_9; Mao et al. (2018),
        arXiv:1801.00887.
    """

    def __init__(
        self,
        min_pitch: int,
        kind: str = "convolution",
        filters: int = 64,
        width: int = 24,
        class_counts: str = "own",
        dropout: float = 0.0,
        num_tracks: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("kind", kind), ("class_counts", class_counts)):
            if value not in CHOICES[name]:
                choices = " or ".join(CHOICES[name])
                raise ValueError(f"{name} must be {choices}, got {value!r}.")
        self.min_pitch = min_pitch
        self.kind = kind
        self.filters = filters
        self.width = width
        self.class_counts = class_counts
        self.dropout = dropout
        self.num_tracks = num_tracks
        if kind == "convolution":
            self.convolution = keras.layers.Conv1D(
                filters, width, padding="same", activation="tanh", name="octave"
            )
            self.convolution_dropout = Dropout(dropout)

    def build(
        self, frames_shape: tuple, bar_position_shape: tuple | None = None
    ) -> None:
        """Makes the convolution for the channels of the frames."""
        if self.kind == "convolution":
            self.convolution.build((None, *frames_shape[-2:]))

    def compute_output_shape(
        self, frames_shape: tuple, bar_position_shape: tuple | None = None
    ) -> tuple:
        """The shape of the output, so that Keras need not trace the layer."""
        near, classes = self.width * frames_shape[-1], 0
        if self.kind == "convolution":
            near, classes = self.filters, OCTAVE
        counts = self.num_tracks * (1 if self.class_counts == "own" else OCTAVE)
        places = bar_position_shape[-1] if bar_position_shape else 0
        return *frames_shape[:-1], near + 1 + classes + counts + places

    def call(
        self,
        frames: Tensor,
        bar_position: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Computes and joins the features."""
        convolve = self.kind == "convolution"
        own = self.class_counts == "own"
        count = own_class_count if own else relative_class_counts
        near = (
            self._convolve(frames, training) if convolve else window(frames, self.width)
        )
        channels = frames.shape[-1] // self.num_tracks
        plays = tf.unstack(frames[..., ::channels], axis=-1)
        parts = [near, self._constants(frames), *map(count, plays)]
        if bar_position is not None:
            num_pitches = frames.shape[-2]
            parts.append(tf.repeat(bar_position[:, :, None, :], num_pitches, axis=2))
        return tf.concat([tf.cast(part, near.dtype) for part in parts], axis=-1)

    def _convolve(self, frames: Tensor, training: bool | None) -> Tensor:
        folded = tf.reshape(frames, (-1, *frames.shape[-2:]))
        shape = tf.concat([tf.shape(frames)[:-1], [self.filters]], axis=0)
        near = tf.reshape(self.convolution(folded), shape)
        return self.convolution_dropout(near, training=training)

    def _constants(self, frames: Tensor) -> Tensor:
        num_pitches = frames.shape[-2]
        parts = [pitch_position(num_pitches)]
        if self.kind == "convolution":
            parts.append(pitch_class_one_hot(num_pitches, self.min_pitch))
        constants = np.concatenate(parts, axis=-1)
        shape = tf.concat([tf.shape(frames)[:2], constants.shape], axis=0)
        return tf.broadcast_to(constants, shape)
