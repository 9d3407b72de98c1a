"""Title, composer and arranger: fields of every representation of a piece.

A NoteSequence has no arranger field, so its artist field is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from note_seq import NoteSequence

NAMES = ("title", "composer", "arranger")


def of(piece: Any) -> dict[str, Any]:
    """The fields of a score, of notes or of matrices."""
    return {name: getattr(piece, name) for name in NAMES}


def from_sequence(sequence: "NoteSequence") -> dict[str, Any]:
    """The fields of a NoteSequence."""
    said = sequence.sequence_metadata
    found = (said.title, ", ".join(said.composers), said.artist)
    return dict(zip(NAMES, found, strict=True))


def to_sequence(piece: Any, sequence: "NoteSequence") -> None:
    """Writes the fields of a piece into a NoteSequence that has none."""
    said = sequence.sequence_metadata
    said.title, said.artist = piece.title, piece.arranger
    said.composers.extend([piece.composer] if piece.composer else [])
