"""The instruments of a piece, each with its own notes."""

import dataclasses

import numpy as np

from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The notes of one instrument.

    Attributes:
        name: as the file calls it; may be empty.
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
        notes: of the piece.
        drums: keep drum kits.

    Returns:
        The instruments that have notes, by their numbers.
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
