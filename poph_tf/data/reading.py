"""Reads music files: one table of formats and their readers.

    suffix -> reader(data, name, options) -> pieces: Notes or NoteSequences

A reader gets the whole content of a file, so that files, archive members and records
are read in the same way; each is opened and parsed once. To add a format, write such a
reader and add it to `READERS`.

Any fault in a file raises `MusicFileError` with a reason, worded the same for every
file with that fault.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from poph_tf import files
from poph_tf.data import (
    abc,
    humdrum,
    mei,
    midi_bytes,
    midi_note_seq,
    musicxml,
    score_sequence,
)
from poph_tf.data import notes as notes_lib
from poph_tf.data.ornaments import Ornaments
from poph_tf.data.score import Score
from poph_tf.errors import MusicFileError, one_line

if TYPE_CHECKING:
    from note_seq import NoteSequence

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
# The files that may hold several pieces.
BOOK_SUFFIX = ".abc"
# The suffix for the records of a TFRecord file of NoteSequences.
SEQUENCE_SUFFIX = ".notesequence"


@dataclasses.dataclass(frozen=True)
class Options:
    """How files are read.

    Attributes:
        reader: "fast" gives Notes; "note_seq" gives NoteSequences by note-seq's parser.
        max_events: the fast reader rejects files with more events.
        compiled: the fast reader uses machine code, which pays off for many files.
        repeats: scores: "played", as players play them, or "once".
        ornaments: scores: "written", as their notes stand, or "played".
    """

    reader: Literal["fast", "note_seq"] = "fast"
    max_events: int = midi_bytes.MAX_EVENTS
    compiled: bool = False
    repeats: score_sequence.Repeats = "played"
    ornaments: Ornaments = "written"


# The pieces of a file by their names within it ("" for the only one); a piece that
# cannot be read is replaced by its error.
Pieces = Mapping[str, Any]
Reader = Callable[[bytes, str, Options], Pieces]


def _read_midi(data: bytes, name: str, options: Options) -> Pieces:
    if options.reader == "note_seq":
        return {"": midi_note_seq.parse(data, name)}
    limit, compiled = options.max_events, options.compiled
    return {"": midi_bytes.parse(data, name, max_events=limit, compiled=compiled)}


def _read_abc(data: bytes, name: str, options: Options) -> Pieces:
    return abc.Tunes(data, name, options.repeats)


def _read_sequence(data: bytes, name: str, _: Options) -> Pieces:
    return {"": notes_lib.parse_sequence(data, name)}


SCORE_PARSERS: dict[str, Callable[[bytes, str], Score]] = {
    **dict.fromkeys((".xml", ".musicxml", ".mxl"), musicxml.parse),
    ".mei": mei.parse,
    ".krn": humdrum.parse,
}


def _score_reader(suffix: str) -> Reader:
    def read_score(data: bytes, name: str, options: Options) -> Pieces:
        score = SCORE_PARSERS[suffix](data, name)
        sequence = score_sequence.to_sequence(
            score, name, repeats=options.repeats, ornaments=options.ornaments
        )
        return {"": sequence}

    return read_score


READERS: dict[str, Reader] = {
    **dict.fromkeys(MIDI_SUFFIXES, _read_midi),
    **{suffix: _score_reader(suffix) for suffix in SCORE_PARSERS},
    BOOK_SUFFIX: _read_abc,
    **dict.fromkeys((SEQUENCE_SUFFIX, ".pb"), _read_sequence),
}
SCORE_SUFFIXES = (*SCORE_PARSERS, BOOK_SUFFIX)
SUFFIXES = tuple(READERS)


def parse(data: bytes, name: str, options: Options | None = None) -> Pieces:
    """Reads the content of a file.

    Args:
        data: the content.
        name: the name of the file; its suffix gives the format.
        options: how MIDI files are read.

    Returns:
        The pieces by their names within the file, at least one: Notes, or a
        NoteSequence, or the MusicFileError that says why the piece cannot be read.

    Raises:
        MusicFileError: If the file cannot be read.
    """
    for suffix, reader in READERS.items():
        if name.lower().endswith(suffix):
            return reader(data, name, options or Options())
    raise MusicFileError(name, f"its suffix must be one of {' '.join(SUFFIXES)}")


def to_notes(piece: Any) -> notes_lib.Notes:
    """The notes of one of the pieces that `parse` gives.

    Raises:
        MusicFileError: If the piece could not be read.
        InputError: If it holds impossible numbers.
    """
    if isinstance(piece, MusicFileError):
        raise piece
    if isinstance(piece, notes_lib.Notes):
        return piece
    return notes_lib.from_sequence(piece)


def read(path: str | Path) -> "NoteSequence":
    """Reads a file that holds one piece.

    Args:
        path: a file with one of `SUFFIXES`.

    Raises:
        MusicFileError: If there is no such file, it cannot be read, or it holds
            several tunes (see `read_all`), or a tune that cannot be read.
    """
    return _as_sequence(_only_piece(path), path)


def read_all(
    path: str | Path, failures: list[str] | None = None
) -> "Iterator[NoteSequence]":
    """Iterates over the pieces of a file; only ABC files hold more than one.

    Args:
        path: a file with one of `SUFFIXES`.
        failures: gets a reason for each tune that cannot be read, if other tunes can.

    Raises:
        MusicFileError: If there is no such file, or nothing in it can be read.
    """
    first_error, count = None, 0
    for piece in parse(content(path), str(path)).values():
        if isinstance(piece, MusicFileError):
            first_error = first_error or piece
            if failures is not None:
                failures.append(piece.reason)
        else:
            count += 1
            yield _as_sequence(piece, path)
    if first_error and not count:
        raise first_error


def read_notes(path: str | Path) -> notes_lib.Notes:
    """Reads the notes of a file that holds one piece; errors are those of `read`."""
    return to_notes(_only_piece(path))


def content(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        MusicFileError: If there is no such file, or it cannot be read.
    """
    try:
        return files.read_regular(path)
    except OSError as error:
        raise MusicFileError(path, error.strerror or "cannot be opened") from None


def _only_piece(path: str | Path) -> Any:
    pieces = parse(content(path), str(path))
    if len(pieces) != 1:
        raise MusicFileError(
            path, f"must hold one tune, holds {len(pieces)}; use midi.read_all"
        )
    (piece,) = pieces.values()
    if isinstance(piece, MusicFileError):
        raise piece
    return piece


def _as_sequence(piece: Any, path: str | Path) -> "NoteSequence":
    is_notes = isinstance(piece, notes_lib.Notes)
    sequence = notes_lib.to_sequence(piece) if is_notes else piece
    sequence.filename = readable_name(PurePath(path).name)
    return sequence


def readable_name(name: str) -> str:
    """A file name as text on one line.

    Bytes that are not UTF-8 become replacement characters; line ends and other control
    characters are escaped.
    """
    return one_line(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
