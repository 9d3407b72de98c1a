"""Reads MIDI files as NoteSequences with note-seq's parser (pretty_midi).

The fast reader (`midi_bytes.py`) checks the bytes before: it tells why a file cannot be
read, and no file can exhaust memory.
"""

import io
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from poph_tf.data import midi_bytes
from poph_tf.data import notes as notes_lib

if TYPE_CHECKING:
    from note_seq import NoteSequence

# pretty_midi makes a table with an entry for every tick up to the last.
_MAX_TABLE_TICKS = 10_000_000
_IN_FIRST_TRACK = ("set_tempo", "time_signature", "key_signature")


def parse(data: bytes, name: str) -> "NoteSequence":
    """Reads the content of a MIDI file.

    Raises:
        MusicFileError: If it cannot be read.
    """
    notes = midi_bytes.parse(data, name)
    import note_seq
    import pretty_midi

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = _tidied(midi_bytes.unwrapped(data), name)
            parsed = pretty_midi.PrettyMIDI(mido_object=file)
            return note_seq.midi_to_note_sequence(parsed)
    except Exception:
        # Impossible key signatures, absurd lengths and the like stop note-seq's parser,
        # though the notes are valid.
        return notes_lib.to_sequence(notes)


def _tidied(data: bytes, name: str) -> Any:
    """A mido file that has all its tempi and time signatures in the first track.

    pretty_midi looks for them there only, but files have them elsewhere.
    """
    import mido

    file = mido.MidiFile(file=io.BytesIO(_known_chunks(data, name)))
    moved, others = [], []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            message.time = tick
        if tick > _MAX_TABLE_TICKS:
            raise ValueError("too long for a table of ticks")
        moved += [m for m in track if m.type in _IN_FIRST_TRACK and _is_possible(m)]
        others.append([m for m in track if m.type not in _IN_FIRST_TRACK])
    if others:
        others[0] = sorted(moved + others[0], key=lambda m: m.time)
    file.tracks = [mido.MidiTrack(_relative(track)) for track in others if track]
    return file


def _is_possible(message: Any) -> bool:
    """Whether a meta event has a meaning; `midi_bytes` skips the others too."""
    if message.type == "set_tempo":
        return message.tempo > 0
    if message.type == "time_signature":
        return message.numerator > 0 and message.denominator <= 128
    return True


def _relative(messages: Iterable[Any]) -> Iterator[Any]:
    tick = 0
    for message in messages:
        message.time, tick = message.time - tick, message.time
        yield message


def _known_chunks(data: bytes, name: str) -> bytes:
    """The same MIDI file without chunks that are not tracks."""
    ticks_per_quarter, tracks = midi_bytes.tracks(data, name)
    header = b"MThd" + (6).to_bytes(4) + data[8:10]
    header += len(tracks).to_bytes(2) + ticks_per_quarter.to_bytes(2)
    chunks = [b"MTrk" + (end - at).to_bytes(4) + data[at:end] for at, end in tracks]
    return header + b"".join(chunks)
