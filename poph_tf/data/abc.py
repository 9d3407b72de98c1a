"""Reads books of tunes in ABC notation, tune by tune, with note-seq.

A tune begins with its number (X:) and ends at a blank line or at the next number. The
fields before the first tune hold for all; other text between tunes is no music. A tune
that cannot be read does not cost the others: it has its own error.

note-seq's parser reads neither rests nor ties nor grace notes nor `!ornaments!`. Before
it reads a tune, rests become notes far below all music, which are taken out afterwards;
grace notes and ornaments are left out; tied notes are joined afterwards.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (file structure).
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from poph_tf.errors import MusicFileError, kind_of

if TYPE_CHECKING:
    from note_seq import NoteSequence

# A C four octaves below that of the bass clef; any accidental leaves it below music.
_REST, _HIGHEST_REST = "C,,,,", 13
# Text, fields and comments within the music, which have letters that are no notes; what
# is left out (grace notes, ornaments); rests; notes, with a tie to the next.
_TOKENS = re.compile(
    r'"[^"]*"|\[[A-Za-z]:[^\]]*\]|%.*|(?P<out>\{[^}]*\}|![^!]*!)|(?P<rest>[zx])'
    r"|(?P<accidental>[_=^]*)(?P<note>[A-Ga-g][',]*)[\d/]*(?P<tie>\s*-)?"
)
_FIELD = re.compile("[A-Za-z+]:")
_DIRECTIVE = "%%"


def read_tunes(data: bytes, name: str) -> "dict[str, NoteSequence | MusicFileError]":
    """Reads the tunes of a book.

    Args:
        data: UTF-8 text.
        name: what errors call the file.

    Returns:
        For each tune, at least one, a NoteSequence or the error that says why it cannot
        be read. The label of a tune is its number; further tunes of the same number are
        told apart by their places in the book.

    Raises:
        MusicFileError: If the file is not text, or holds no tune.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MusicFileError(name, "ABC must be UTF-8 text") from None
    header, parts = _book(list(_parts(text)))
    if not parts:
        raise MusicFileError(name, "not ABC that can be read (no tune)")
    found: dict[str, NoteSequence | MusicFileError] = {}
    for place, lines in enumerate(parts, 1):
        number = _number(lines)
        label = number if number and number not in found else f"{number or ''}@{place}"
        is_alone = len(parts) == 1 and not header
        if number or is_alone:
            found[label] = _read_tune(header, lines, name)
        else:
            reason = "not ABC that can be read (no number, X:)"
            found[label] = MusicFileError(name, reason)
    return found


def _parts(text: str) -> Iterator[list[str]]:
    """Lists of lines, split at blank lines and before X:, without mere comments."""
    lines: list[str] = []
    for line in map(str.strip, [*text.splitlines(), ""]):
        if lines and (not line or line.startswith("X:")):
            if not all(line.startswith("%") for line in lines):
                yield lines
            lines = []
        if line:
            lines.append(line)


def _book(parts: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The fields that hold for all tunes, and the parts that are tunes.

    A part with a key but no number is a tune that lacks one; without either it is text.
    """
    first = next((k for k, part in enumerate(parts) if _number(part)), None)
    if first is None:
        # Without any number, a single part is a tune; otherwise the first part is the
        # header of tunes that lack theirs.
        return (parts[0], parts[1:]) if len(parts) > 1 else ([], parts)
    header = [line for part in parts[:first] for line in part if _is_field(line)]
    return header, [part for part in parts[first:] if _number(part) or _has_key(part)]


def _is_field(line: str) -> bool:
    return bool(_FIELD.match(line)) or line.startswith(_DIRECTIVE)


def _has_key(lines: list[str]) -> bool:
    return any(line.startswith("K:") for line in lines)


def _number(lines: list[str]) -> str | None:
    """The content of the field X: of a tune."""
    for line in lines:
        if line.startswith("X:"):
            return line[2:].partition("%")[0].strip() or None
    return None


def _read_tune(
    header: list[str], lines: list[str], name: str
) -> "NoteSequence | MusicFileError":
    from note_seq import abc_parser

    try:
        readable = [_readable(line) for line in lines]
        sequence = abc_parser.ABCTune(header + readable).note_sequence
    except Exception as error:
        # note-seq's parser raises whatever it meets.
        reason = f"not ABC that can be read ({kind_of(error)})"
        return MusicFileError(name, reason)
    notes = _joined(list(sequence.notes), _ties(lines))
    del sequence.notes[:]
    sequence.notes.extend(note for note in notes if note.pitch > _HIGHEST_REST)
    return sequence


def _readable(line: str) -> str:
    if _FIELD.match(line):
        return line
    return _TOKENS.sub(lambda m: _REST if m["rest"] else "" if m["out"] else m[0], line)


def _ties(lines: list[str]) -> list[bool]:
    """Whether each note or rest of a tune, as they come, is tied to the next."""
    music = (line for line in lines if not _FIELD.match(line))
    matches = (match for line in music for match in _TOKENS.finditer(line))
    tokens = [match for match in matches if match["note"] or match["rest"]]
    return [
        # In the next bar a tied note keeps its accidental without a sign.
        bool(one["tie"]) and one["note"] == other["note"] and not other["accidental"]
        for one, other in zip(tokens, tokens[1:], strict=False)
    ] + [False] * bool(tokens)


def _joined(notes: Sequence[Any], ties: list[bool]) -> Sequence[Any]:
    """The notes of a sequence with tied notes joined into one."""
    if len(notes) != len(ties):
        return notes  # Something else in the music is a note to note-seq.
    kept: list[Any] = []
    for k, note in enumerate(notes):
        if k and ties[k - 1]:
            kept[-1].end_time = note.end_time
        else:
            kept.append(note)
    return kept
