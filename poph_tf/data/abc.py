"""Reads books of tunes in ABC notation, tune by tune, with note-seq.

A tune begins with its number (X:) and ends at a blank line or at the next number. The
fields before the first tune hold for all; other text between tunes is no music. A tune
that cannot be read does not cost the others: it has a reason.

note-seq's parser knows neither rests nor ties nor grace notes nor `!ornaments!`. Before
it reads a tune, rests become notes far below all music, which are taken out afterwards;
what takes no time of its own is left out; tied notes are joined afterwards.

Source: https://abcnotation.com/wiki/abc:standard:v2.1 (file structure).
"""

import dataclasses
import re

from poph_tf.errors import MusicFileError, kind_of

# A C four octaves below that of the bass clef; any accidental leaves it below music.
_REST, _HIGHEST_REST = "C,,,,", 13
# Text, fields and comments within the music, where letters are no notes; what is left
# out (grace notes, ornaments); rests; notes, with what ties them to the next.
_TOKENS = re.compile(
    r'"[^"]*"|\[[A-Za-z]:[^\]]*\]|%.*|(?P<out>\{[^}]*\}|![^!]*!)|(?P<rest>[zx])'
    r"|(?P<accidental>[_=^]*)(?P<note>[A-Ga-g][',]*)[\d/]*(?P<tie>\s*-)?"
)
_FIELD = re.compile("[A-Za-z+]:")
_DIRECTIVE = "%%"


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
    header, parts = _book(list(_parts(text)))
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
    """Lists of lines, parted by blank lines and before X:, but for mere comments."""
    lines = []
    for line in [*text.splitlines(), ""]:
        line = line.strip()
        if lines and (not line or line.startswith("X:")):
            if not all(line.startswith("%") for line in lines):
                yield lines
            lines = []
        if line:
            lines.append(line)


def _book(parts):
    """The fields that hold for all tunes, and the parts that are tunes.

    A part with a key but no number is a tune that lacks one; without either it is text.
    """
    first = next((k for k, part in enumerate(parts) if _number(part)), None)
    if first is None:
        # Without any number, one part is a tune by itself, and the first of several
        # is the header of tunes that lack theirs.
        return (parts[0], parts[1:]) if len(parts) > 1 else ([], parts)
    header = [line for part in parts[:first] for line in part if _is_field(line)]
    return header, [part for part in parts[first:] if _number(part) or _has_key(part)]


def _is_field(line):
    return bool(_FIELD.match(line)) or line.startswith(_DIRECTIVE)


def _has_key(lines):
    return any(line.startswith("K:") for line in lines)


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
        readable = [_readable(line) for line in lines]
        sequence = abc_parser.ABCTune(header + readable).note_sequence
    except Exception as error:
        # note-seq's parser meets what it does not expect with whatever comes.
        return Tune(label, reason=f"not ABC that can be read ({kind_of(error)})")
    notes = _joined(list(sequence.notes), _ties(lines))
    del sequence.notes[:]
    sequence.notes.extend(note for note in notes if note.pitch > _HIGHEST_REST)
    return Tune(label, sequence)


def _readable(line):
    if _FIELD.match(line):
        return line
    return _TOKENS.sub(lambda m: _REST if m["rest"] else "" if m["out"] else m[0], line)


def _ties(lines):
    """Whether each note or rest of a tune, as they come, is tied to the next."""
    tokens = [
        match
        for line in lines
        if not _FIELD.match(line)
        for match in _TOKENS.finditer(line)
        if match["note"] or match["rest"]
    ]
    return [
        # In the next bar a tied note keeps its accidental unsaid.
        bool(one["tie"]) and one["note"] == other["note"] and not other["accidental"]
        for one, other in zip(tokens, tokens[1:], strict=False)
    ] + [False] * bool(tokens)


def _joined(notes, ties):
    """The notes of a sequence, of which those that are tied are one."""
    if len(notes) != len(ties):
        return notes  # The music holds something that only note-seq takes for a note.
    kept = []
    for k, note in enumerate(notes):
        if k and ties[k - 1]:
            kept[-1].end_time = note.end_time
        else:
            kept.append(note)
    return kept
