"""Constraints: the cells of given music that are clamped while the rest are sampled.

A clamped cell has four numbers: 1, its play, whether it is an onset (the sampler makes
it a replay if the pitch sounded before), and its volume 0..1. A free cell has zeros.
Bars are counted from 1, the first whole bar; a pickup has no number.
"""

from typing import Literal

import numpy as np

from poph_tf import theory
from poph_tf.config import ModelConfig
from poph_tf.data import matrices
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError

Voice = Literal["melody", "bass", "any"]


def clamp_notes(
    cells: np.ndarray, config: ModelConfig, voice: Voice = "melody"
) -> np.ndarray:
    """Clamps the notes of a voice and leaves the rest free.

    In the step after a note, its pitch is silent, so that the note is not prolonged.
    While a melody sounds, everything above its highest note is silent, and everything
    below the lowest note of a bass. While the voice rests, everything is free.

    Args:
        cells: uint8 [step, 128, channel], canonical.
        config: the model's configuration.
        voice: where the notes lie: on top, at the bottom, or anywhere.

    Returns:
        float32 [step, pitch, 4].
    """
    clamped = clamp_all(cells, config)
    play = clamped[..., 1] > 0
    silent = np.zeros_like(play)
    silent[1:] = play[:-1] & ~play[1:]
    if voice == "melody":
        silent |= _before_first(play[:, ::-1])[:, ::-1]
    elif voice == "bass":
        silent |= _before_first(play)
    clamped[..., 0] = play | silent
    return clamped


def _before_first(play: np.ndarray) -> np.ndarray:
    """Marks the places before the first sounding one in each step, [step, place]."""
    return (np.cumsum(play, axis=1) == 0) & play.any(axis=1, keepdims=True)


def clamp_all(cells: np.ndarray, config: ModelConfig) -> np.ndarray:
    """Clamps every cell, silent ones too.

    Args:
        cells: uint8 [step, (track,) 128, channel], canonical.
        config: the model's configuration.

    Returns:
        float32 [step, (track,) pitch, 4].
    """
    parts = (cells[..., 0], matrices.onsets(cells), cells[..., 2] / np.float32(127))
    clamped = np.stack([np.ones_like(parts[-1]), *parts], axis=-1)
    return clamped[..., config.pitches, :].astype(np.float32)


def bar_starts(piece: Matrices) -> np.ndarray:
    """Steps at which bars start, then the piece's length: int [bar + 1].

    Example:
        >>> pickup = np.array([2, 3, 0, 1, 2, 3, 0], np.uint8)
        >>> piece = Matrices(np.zeros((7, 128, 3), np.uint8), pickup)
        >>> bar_starts(piece).tolist()
        [2, 6, 7]
    """
    return np.append(np.flatnonzero(piece.bar_position == 0), len(piece))


def steps_before_bar(piece: Matrices, bar: int) -> int:
    """The number of steps before a bar, counted from 1.

    Raises:
        InputError: If it is neither a bar of the piece nor the one after its last.
    """
    starts = bar_starts(piece)
    if not 1 <= bar <= len(starts):
        raise InputError(
            f"from_bar must be a bar of the piece or the one after its last, 1 to "
            f"{len(starts)}, got {bar}."
        )
    return int(starts[bar - 1])


def steps_of_bars(piece: Matrices, text: str) -> tuple[int, int]:
    """The first step of bars such as "9-12" or "9", and the step after their last.

    Raises:
        InputError: If the piece does not have these bars.
    """
    first, last = theory.read_bars(text)
    starts = bar_starts(piece)
    if last >= len(starts):
        raise InputError(
            f"bars must lie in the piece, 1 to {len(starts) - 1}, got {text!r}."
        )
    return int(starts[first - 1]), int(starts[last])
