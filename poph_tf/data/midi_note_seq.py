"""Reads MIDI files as NoteSequences with note-seq's own reader (pretty_midi).

The fast reader (`midi_bytes.py`) checks the bytes first: it says why a file cannot be
read, and no file can exhaust memory.
"""

import warnings
from typing import TYPE_CHECKING

from poph_tf.data import midi_bytes
from poph_tf.data import notes as notes_lib

if TYPE_CHECKING:
    from note_seq import NoteSequence

# pretty_midi makes a table with an entry for every tick up to the last.
_MAX_TABLE_TICKS = 10_000_000


def parse(data: bytes, name: str) -> "NoteSequence":
    """Reads the content of a MIDI file, with the fast reader if note-seq's fails.

    Raises:
        MusicFileError: If it cannot be read.
    """
    notes = midi_bytes.parse(data, name)
    if notes.end_tick.max(initial=0) > _MAX_TABLE_TICKS:
        return notes_lib.to_sequence(notes)
    import note_seq

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return note_seq.midi_to_note_sequence(data)
    except Exception:  # pretty_midi raises whatever its parser meets.
        return notes_lib.to_sequence(notes)
