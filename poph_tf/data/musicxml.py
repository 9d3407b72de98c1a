"""Reads MusicXML scores with note-seq, and joins tied notes.

note-seq ignores ties, so that a held note would be struck again at each bar line.

Source: https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/tie/
"""

import io
import zipfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from poph_tf.errors import MusicFileError, kind_of

if TYPE_CHECKING:
    from note_seq import NoteSequence

# Symphonies stay below a tenth of it.
_MAX_SCORE_BYTES = 100_000_000
# Seconds: note-seq adds times up as floats.
_SAME_TIME = 1e-4


class _NamedBytes(io.BytesIO):
    """Bytes that note-seq takes for a path: it asks for the suffix, then reads."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._name = name

    def endswith(self, suffix: str) -> bool:
        return self._name.lower().endswith(suffix)


def parse(data: bytes, name: str) -> "NoteSequence":
    """Reads the content of a score.

    Args:
        data: plain or compressed (.mxl).
        name: what errors call the file; its suffix tells whether it is compressed.

    Raises:
        MusicFileError: If it cannot be read.
    """
    from note_seq import musicxml_parser, musicxml_reader

    _check_unpacked_size(data, name)
    try:
        document = musicxml_parser.MusicXMLDocument(_NamedBytes(data, name))
        for part in document.parts:
            _join_ties(part.measures)
        return musicxml_reader.musicxml_to_sequence_proto(document)
    except Exception as error:
        # note-seq's parser raises whatever broken XML makes its code do.
        cause = error.__cause__ or (error.args[0] if error.args else error)
        kind = kind_of(cause if isinstance(cause, Exception) else error)
        raise MusicFileError(name, f"not MusicXML that can be read ({kind})") from None


def _join_ties(measures: Iterable[Any]) -> None:
    """Lengthens the first of tied notes of a part, and removes the others."""
    held: dict[int, list[Any]] = {}  # by MIDI number: notes of ties that have not ended
    for measure in measures:
        kept = []
        for note in measure.notes:
            ties = {tie.get("type") for tie in note.xml_note.findall("tie")}
            before = None
            if ties and not note.is_rest:
                before = _tied_to(note, held) if "stop" in ties else None
                if "start" in ties:
                    held.setdefault(note.pitch[1], []).append(before or note)
            if before is None:
                kept.append(note)
            else:
                before.note_duration.seconds += note.note_duration.seconds
        measure.notes[:] = kept


def _tied_to(note: Any, held: dict[int, list[Any]]) -> Any:
    """Takes the note that is tied to this one out of those held; None if there is none.

    A tie may change the voice, so pitch and time decide.
    """
    start = note.note_duration.time_position
    notes = held.get(note.pitch[1], [])
    for place, before in enumerate(notes):
        duration = before.note_duration
        if abs(duration.time_position + duration.seconds - start) < _SAME_TIME:
            return notes.pop(place)
    return None


def _check_unpacked_size(data: bytes, name: str) -> None:
    """Refuses a compressed score that unpacks to more than a score can be."""
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [member.file_size for member in archive.infolist()]
    except Exception:
        return  # note-seq says what is wrong.
    if max(sizes, default=0) > _MAX_SCORE_BYTES:
        raise MusicFileError(name, f"unpacks to more than {_MAX_SCORE_BYTES:,} bytes")
