"""Reads the music of a request, and reports what could not be used as it is."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from poph_tf.config import ModelConfig
from poph_tf.config.generation import is_path
from poph_tf.config.tracks import Track
from poph_tf.data import cells, matrices, reading
from poph_tf.data.matrices import Matrices
from poph_tf.data.notes import Notes
from poph_tf.errors import InputError
from poph_tf.generation import arrangement

# A note farther from the grid than this, in steps, is reported as moved.
GRID_TOLERANCE = 0.2
_NO_NOTES = "The given music has no notes."


def read(music: Any, tracks: Sequence[Track] = ()) -> tuple[Matrices, tuple[str, ...]]:
    """Music on the grid, and what was changed or dropped, one sentence each.

    Args:
        music: Matrices, Notes, a NoteSequence, or the path of a music file.
        tracks: the notes of a file are assigned to these if it has all of them.

    Raises:
        MusicFileError: If the file cannot be read.
        InputError: If the music is something else.
    """
    if isinstance(music, Matrices):
        return music, tuple(_silence(music))
    if not (is_path(music) or hasattr(music, "ticks_per_quarter")):
        raise InputError(
            "music must be a path, Piece, Matrices, Notes or NoteSequence, got "
            f"{type(music).__name__}."
        )
    notes = reading.read_notes(music) if is_path(music) else reading.to_notes(music)
    piece, changes = on_grid(notes, tracks)
    return piece, (*changes, *_silence(piece))


def on_grid(
    notes: Notes, tracks: Sequence[Track] = ()
) -> tuple[Matrices, tuple[str, ...]]:
    """Notes on the grid, and what that changed; like `read`, without a model."""
    placed = arrangement.by_role(notes, tracks)
    piece = matrices.from_notes(placed)
    heard = sum(_num_notes(track.cells) for track in piece.tracks)
    return piece, (*_without_place(notes, placed), *_unlike(placed, piece, heard))


def as_one_part(piece: Matrices) -> tuple[Matrices, list[str]]:
    """The music as one part, and what that changed: one sentence or none."""
    alone = dataclasses.replace(piece, tracks=())
    if len(piece.tracks) < 2:
        return alone, []
    names = ", ".join(track.name for track in piece.tracks if track.name)
    line = f"{len(piece.tracks)} parts{f' ({names})' * bool(names)} become one"
    total = sum(_num_notes(track.cells) for track in piece.tracks)
    if (merged := total - _num_notes(piece.cells)) > 0:
        line += f", in which {cells.share(merged, total)} sound with another"
    return alone, [f"{line}: the model has no tracks."]


def _num_notes(part: np.ndarray) -> int:
    return int(cells.onsets(part).sum())


def require_notes(piece: Matrices, changes: Sequence[str]) -> None:
    """Raises InputError, which lists the changes, if nothing sounds."""
    if not piece.cells.any():
        others = [change for change in changes if change != _NO_NOTES]
        raise InputError(" ".join([*others, "The music must have notes, got none."]))


def _without_place(notes: Notes, placed: Notes) -> Iterator[str]:
    """Reports drums, and notes that belong to no track."""
    if num_drums := int(notes.is_drum.sum()):
        yield f"{cells.share(num_drums, len(notes))} are drums: they are left out."
    others = int((~notes.is_drum).sum() - (~placed.is_drum).sum())
    if others:
        yield (
            f"{cells.share(others, len(notes))} are in parts that no track of the "
            "model takes: they are left out."
        )


def _unlike(notes: Notes, piece: Matrices, heard: int) -> Iterator[str]:
    """Reports what the grid cannot hold; `heard`: the notes left on it."""
    place = notes.start_tick[~notes.is_drum] / notes.ticks_per_quarter
    place *= piece.steps_per_quarter
    between = int((np.abs(place - np.round(place)) > GRID_TOLERANCE).sum())
    if between:
        yield (
            f"{cells.share(between, len(place))} begin between two sixteenths (such as "
            "triplets): each is moved to the nearest."
        )
    if (merged := len(place) - heard) > 0:
        yield (
            f"{cells.share(merged, len(place))} begin in one sixteenth with another of "
            "their pitch: they become one."
        )


def _silence(piece: Matrices) -> Iterator[str]:
    if not piece.cells.any():
        yield _NO_NOTES


def left_out(piece: Matrices, model: ModelConfig) -> list[str]:
    """Reports notes outside the pitches of a model without tracks; others move them."""
    outside = cells.share_outside(piece.cells, model.min_pitch, model.max_pitch)
    if not outside or model.tracks:
        return []
    return [
        f"{outside} lie outside the model's pitches, {model.min_pitch} to "
        f"{model.max_pitch}: the model leaves them out."
    ]
