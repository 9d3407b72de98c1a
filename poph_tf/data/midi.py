"""Music files as NoteSequences: `read` and `write`.

`read` takes MIDI files and scores alike (see `data/reading.py` for the formats);
`write` makes MIDI files.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from poph_tf import files
from poph_tf.data.midi_writing import SLOWEST_QPM as SLOWEST_QPM
from poph_tf.data.midi_writing import to_bytes as to_bytes
from poph_tf.data.reading import read as read
from poph_tf.data.reading import read_all as read_all

if TYPE_CHECKING:
    from note_seq import NoteSequence


def write(sequence: "NoteSequence", path: str | Path) -> None:
    """Writes a NoteSequence as a MIDI file, atomically (see `to_bytes`).

    Raises:
        InputError: If the file cannot be written.
    """
    files.write_output(path, to_bytes(sequence))
