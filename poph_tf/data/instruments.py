"""The instruments of a piece, each with its own notes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from poph_tf.config.tracks import Track
from poph_tf.data import notes as notes_lib
from poph_tf.data import quantization
from poph_tf.data.notes import Notes
from poph_tf.data.quantization import QuantizedNotes
from poph_tf.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The notes of one instrument.

    Attributes:
        name: its name in the file; may be empty.
        program: General MIDI program of most of its notes.
        is_drum: whether it is a drum kit.
        mask: bool [note], which notes of the piece are its own.
        notes: its notes, with the tempi and bars of the piece.
    """

    name: str
    program: int
    is_drum: bool
    mask: np.ndarray
    notes: Notes


def parts(notes: Notes, *, drums: bool = False) -> list[Part]:
    """Splits a piece into its instruments.

    Args:
        notes: the notes of the piece.
        drums: keep drum kits.

    Returns:
        The instruments that have notes, in order of their numbers.
    """
    found = []
    for instrument in np.unique(notes.instrument).tolist():
        own = notes.instrument == instrument
        for is_drum in (False, True) if drums else (False,):
            keep = own & (notes.is_drum == is_drum)
            if keep.any():
                program = int(np.bincount(notes.program[keep]).argmax())
                name = notes.names.get(instrument, "")
                selected = notes_lib.select(notes, keep)
                found.append(Part(name, program, is_drum, keep, selected))
    return found


def quantize(own: Notes, piece: QuantizedNotes, **options: Any) -> QuantizedNotes:
    """Puts some of the notes of a piece on the piece's own grid.

    Args:
        own: the notes.
        piece: the whole piece on the grid.
        **options: of `quantization.quantize`.
    """
    made = quantization.quantize(own, piece.steps_per_quarter, **options)
    # A track lasts as long as the piece.
    return dataclasses.replace(made, bar_position=piece.bar_position)


def quantize_tracks(
    notes: Notes,
    masks: Mapping[Track, np.ndarray],
    piece: QuantizedNotes,
    **options: Any,
) -> dict[Track, QuantizedNotes]:
    """Puts the tracks of a piece on the grid.

    In legato playing a key is released after the next note has begun: where two notes
    of a voice overlap by at most a sixteenth, the first ends where the second begins.

    Args:
        notes: the notes of the piece.
        masks: the notes of each track, bool [note].
        piece: the whole piece on the grid.
        **options: of `quantization.quantize`.

    Raises:
        InputError: If a voice has several notes at once.
    """
    made = {}
    for track, mask in masks.items():
        own = quantize(notes_lib.select(notes, mask), piece, **options)
        made[track] = _one_by_one(own, track.name) if track.voice else own
    return made


def _one_by_one(piece: QuantizedNotes, name: str) -> QuantizedNotes:
    """Ends notes where the next one begins, if they overlap by at most a sixteenth."""
    order = np.argsort(piece.start, kind="stable")
    start, end = piece.start[order], piece.end[order]
    overlap = end[:-1] - start[1:]
    legato = max(1, piece.steps_per_quarter // 4)
    if ((overlap > legato) | (overlap > 0) & (start[:-1] == start[1:])).any():
        raise InputError(f"several notes at once in the voice {name}")
    cut = piece.end.copy()
    cut[order[:-1]] = np.minimum(end[:-1], np.maximum(start[1:], start[:-1]))
    return dataclasses.replace(piece, end=cut)
