"""Reads MusicXML scores with note-seq, and joins what is tied.

note-seq passes ties over, so that a held note would be struck again at each bar line.

Source: https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/tie/
"""

import io
import zipfile

from poph_tf.errors import MusicFileError, kind_of

# Symphonies stay below a tenth of it.
_MAX_SCORE_BYTES = 100_000_000
# Seconds: note-seq adds times up as floats.
_SAME_TIME = 1e-4


class _NamedBytes(io.BytesIO):
    """Bytes that note-seq takes for a path: it asks for the suffix, then reads."""

    def __init__(self, data, name):
        super().__init__(data)
        self._name = name

    def endswith(self, suffix):
        return self._name.lower().endswith(suffix)


def parse(data, name):
    """Reads the bytes of a score.

    Args:
        data: bytes, plain or compressed (.mxl).
        name: str. How errors call the file; its suffix says whether it is compressed.

    Returns:
        note_seq.NoteSequence.

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
        # note-seq's parser meets broken XML with whatever its code trips over.
        cause = error.__cause__ or (error.args[0] if error.args else error)
        kind = kind_of(cause if isinstance(cause, Exception) else error)
        raise MusicFileError(name, f"not MusicXML that can be read ({kind})") from None


def _join_ties(measures):
    """Lengthens the first of tied notes of a part, and takes the others out."""
    held = {}  # MIDI number: notes whose tie has not ended
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


def _tied_to(note, held):
    """The note that is tied to this one, which is held no longer; None for none.

    Voices may be left on the way, so pitch and time decide.
    """
    start = note.note_duration.time_position
    notes = held.get(note.pitch[1], [])
    for place, before in enumerate(notes):
        duration = before.note_duration
        if abs(duration.time_position + duration.seconds - start) < _SAME_TIME:
            return notes.pop(place)
    return None


def _check_unpacked_size(data, name):
    """Refuses a compressed score that unpacks to more than a score can be."""
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [member.file_size for member in archive.infolist()]
    except Exception:
        return  # note-seq will say what is wrong.
    if max(sizes, default=0) > _MAX_SCORE_BYTES:
        raise MusicFileError(name, f"unpacks to more than {_MAX_SCORE_BYTES:,} bytes")
