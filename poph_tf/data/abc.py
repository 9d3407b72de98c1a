"""Reads books of tunes in ABC notation, tune by tune.

A tune begins with its number (X:) and ends at a blank line or at the next number.
Fields before the first tune apply to all; other text between tunes is ignored. A tune
that cannot be read has its own error and does not affect the others.

Tunes are read on demand, so that a book takes little more memory than its text.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (file structure).
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from poph_tf.data import abc_tune, score_sequence
from poph_tf.data.score import Score
from poph_tf.errors import MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

_FIELD = re.compile(r"[A-Za-z+]:(?![|:])")
_DIRECTIVE = "%%"
# note-seq's value, so that tunes give the same records as before.
_VELOCITY = 90
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Tunes(Mapping[str, "NoteSequence | MusicFileError"]):
    """The tunes of a book by label, each read whenever it is accessed.

    The label of a tune is its number; if that is missing or already taken, the position
    in the book is added.

    Args:
        data: text in UTF-8, UTF-16 with a byte order mark, or Latin-1.
        name: the file's name in error messages.
        repeats: how repeats are played, see `score_sequence.to_sequence`.

    Raises:
        MusicFileError: If the file is not text, or contains no tune.
    """

    def __init__(
        self, data: bytes, name: str, repeats: score_sequence.Repeats = "played"
    ) -> None:
        self._name, self._repeats = name, repeats
        self._header, parts = _book(list(_parts(_decoded(data, name))))
        if not parts:
            raise MusicFileError(name, "not ABC that can be read (no tune)")
        self._parts: dict[str, list[str]] = {}
        for place, lines in enumerate(parts, 1):
            number = _number(lines) or ""
            is_new = number and number not in self._parts
            self._parts[number if is_new else f"{number}@{place}"] = lines
        self._is_alone = len(parts) == 1 and not self._header

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __getitem__(self, label: str) -> "NoteSequence | MusicFileError":
        try:
            sequence = score_sequence.to_sequence(
                self.score(label),
                self._name,
                repeats=self._repeats,
                velocity=_VELOCITY,
            )
        except MusicFileError as error:
            return error
        sequence.source_info.encoding_type = sequence.source_info.ABC
        return sequence

    def score(self, label: str) -> Score:
        """A tune as written.

        Raises:
            MusicFileError: If it cannot be read.
        """
        lines = self._parts[label]
        if not _number(lines) and not self._is_alone:
            reason = "not ABC that can be read (no number, X:)"
            raise MusicFileError(self._name, reason)
        return abc_tune.parse([*self._header, *lines], self._name)


def _decoded(data: bytes, name: str) -> str:
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" not in data:
            return data.decode("latin-1")
    raise MusicFileError(name, "ABC must be text in UTF-8, UTF-16 or Latin-1")


def _parts(text: str) -> Iterator[list[str]]:
    """Lists of lines, split at blank lines and before X:; skips mere comments."""
    lines: list[str] = []
    for line in map(str.strip, [*text.splitlines(), ""]):
        if lines and (not line or line.startswith("X:")):
            if not all(line.startswith("%") for line in lines):
                yield lines
            lines = []
        if line:
            lines.append(line)


def _book(parts: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The fields that apply to all tunes, and the parts that are tunes.

    A part with a key but no number is an unnumbered tune; with neither it is text.
    """
    first = next((k for k, part in enumerate(parts) if _number(part)), None)
    if first is None:
        # Without any number, a single part is a tune; of several, the first is the
        # header of unnumbered tunes.
        return (parts[0], parts[1:]) if len(parts) > 1 else ([], parts)
    header = [line for part in parts[:first] for line in part if _is_field(line)]
    return header, [part for part in parts[first:] if _number(part) or _has_key(part)]


def _is_field(line: str) -> bool:
    return bool(_FIELD.match(line)) or line.startswith(_DIRECTIVE)


def _has_key(lines: list[str]) -> bool:
    return any(line.startswith("K:") for line in lines)


def _number(lines: list[str]) -> str | None:
    """The content of a tune's X: field."""
    for line in lines:
        if line.startswith("X:"):
            return line[2:].partition("%")[0].strip() or None
    return None
