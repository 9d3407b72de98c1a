"""Reads books of tunes in ABC notation, tune by tune, with note-seq.

Blank lines part the tunes; a first part without a number (X:) is a header whose fields
hold for all. A tune that cannot be read does not cost the others: it has a reason.

note-seq's parser knows neither rests nor grace notes nor `!ornaments!`. Before it
reads a tune, rests become notes far below all music, which are taken out afterwards;
what takes no time of its own is left out.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (file structure).
"""

import dataclasses
import re

from poph_tf.errors import MusicFileError, kind_of

# A C four octaves below that of the bass clef; any accidental leaves it below music.
_REST, _HIGHEST_REST = "C,,,,", 13
# Text, fields and comments within the music, where letters are no rests; what is left
# out (grace notes, ornaments); rests.
_TOKENS = re.compile(
    r'"[^"]*"|\[[A-Za-z]:[^\]]*\]|%.*|(?P<out>\{[^}]*\}|![^!]*!)|(?P<rest>[zx])'
)
_FIELD = re.compile("[A-Za-z+]:")


@dataclasses.dataclass(frozen=True)
class Tune:
    """A tune of a book.

    Args:
        label: str. Its number; of tunes with one number the later ones are told apart
            by their place in the book.
        sequence: note_seq.NoteSequence or None.
        reason: str or None. Why it cannot be read.
    """

    label: str
    sequence: object = None
    reason: str | None = None


def tunes(data, name):
    """The tunes of a book.

    Args:
        data: bytes, UTF-8 text.
        name: str. How errors call the file.

    Returns:
        list of Tune, at least one.

    Raises:
        MusicFileError: If it is not text, or holds no tune.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MusicFileError(name, "ABC must be UTF-8 text") from None
    parts = list(_parts(text))
    header = []
    if len(parts) > 1 and not _number(parts[0]):
        header = parts.pop(0)
    if not parts:
        raise MusicFileError(name, "not ABC that can be read (no tune)")
    seen, read = set(), []
    for place, part in enumerate(parts, 1):
        number = _number(part)
        label = number if number and number not in seen else f"{number or ''}@{place}"
        seen.add(number)
        lone = len(parts) == 1 and not header
        read.append(_tune(label, header, part, bool(number) or lone))
    return read


def _parts(text):
    """Lists of lines between blank lines, without those of comments only."""
    lines = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line.strip())
        elif lines:
            if not all(line.startswith("%") for line in lines):
                yield lines
            lines = []


def _number(lines):
    """What the field X: of a tune says, or None."""
    for line in lines:
        if line.startswith("X:"):
            return line[2:].partition("%")[0].strip() or None
    return None


def _tune(label, header, lines, is_tune):
    from note_seq import abc_parser

    if not is_tune:
        return Tune(label, reason="not ABC that can be read (no number, X:)")
    try:
        lines = [_readable(line) for line in lines]
        sequence = abc_parser.ABCTune(header + lines).note_sequence
    except Exception as error:
        # note-seq's parser meets what it does not expect with whatever comes.
        return Tune(label, reason=f"not ABC that can be read ({kind_of(error)})")
    notes = [note for note in sequence.notes if note.pitch > _HIGHEST_REST]
    del sequence.notes[:]
    sequence.notes.extend(notes)
    return Tune(label, sequence)


def _readable(line):
    if _FIELD.match(line):
        return line
    return _TOKENS.sub(lambda m: _REST if m["rest"] else "" if m["out"] else m[0], line)
