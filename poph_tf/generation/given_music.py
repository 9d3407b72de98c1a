"""Reads the music that a request gives, and tells what of it is not used as it is."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from poph_tf.config import ModelConfig
from poph_tf.config.generation import is_path
from poph_tf.config.tracks import Track
from poph_tf.data import cells, matrices, reading
from poph_tf.data.matrices import Matrices
from poph_tf.data.notes import Notes
from poph_tf.generation import arrangement

# A note further from the grid than this, in steps, is told to be moved.
GRID_TOLERANCE = 0.2


def read(
    music: Any, model: ModelConfig, tracks: Sequence[Track] = ()
) -> tuple[Matrices, tuple[str, ...]]:
    """Music on the grid, and what is changed of it or not heard, a sentence each.

    Args:
        music: Matrices, Notes, or the path of a music file.
        model: configuration of the model; one with tracks takes care of its pitches
            when the music is given to them.
        tracks: the notes of a file are found for these if it has all of them.

    Raises:
        MusicFileError: If the file cannot be read.
    """
    if isinstance(music, Matrices):
        return music, tuple(_left_out(music, model))
    notes = reading.read_notes(music) if is_path(music) else music
    piece = matrices.from_notes(arrangement.by_role(notes, tracks))
    return piece, (*_unlike(notes, piece), *_left_out(piece, model))


def _unlike(notes: Notes, piece: Matrices) -> Iterator[str]:
    """What the grid cannot hold."""
    if num_drums := int(notes.is_drum.sum()):
        yield f"{_share(num_drums, len(notes))} are drums: they are left out."
    place = notes.start_tick[~notes.is_drum] / notes.ticks_per_quarter
    place *= piece.steps_per_quarter
    between = int((np.abs(place - np.round(place)) > GRID_TOLERANCE).sum())
    if between:
        yield (
            f"{_share(between, len(place))} begin between two sixteenths (such as "
            "triplets): each is moved to the nearest."
        )
    merged = len(place) - int(cells.onsets(piece.cells).sum())
    if merged:
        yield (
            f"{_share(merged, len(place))} begin in one sixteenth with another of "
            "their pitch: they become one."
        )


def _left_out(piece: Matrices, model: ModelConfig) -> Iterator[str]:
    """What the model has no place for."""
    by_pitch = cells.onsets(piece.cells).sum(axis=0)
    total = int(by_pitch.sum())
    outside = total - int(by_pitch[model.min_pitch : model.max_pitch + 1].sum())
    if not total:
        yield "The given music has no notes."
    elif outside and not model.tracks:
        yield (
            f"{_share(outside, total)} lie outside the model's pitches, "
            f"{model.min_pitch} to {model.max_pitch}: the model leaves them out."
        )


def _share(count: int, total: int) -> str:
    return f"{count} of {total} notes ({count / total:.0%})"
