"""Music files as NoteSequences: `read` and `write`.

`read` takes MIDI files and scores alike (see `data/reading.py` for the formats);
`write` makes MIDI files.
"""

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from poph_tf import files
from poph_tf.data import bars
from poph_tf.data.reading import read as read
from poph_tf.data.reading import read_all as read_all

if TYPE_CHECKING:
    from note_seq import NoteSequence

# The slowest tempo that fits into the three bytes of MIDI, microseconds a quarter; the
# numerator of a time signature has one byte.
SLOWEST_QPM = 60e6 / (2**24 - 1)
_MAX_NUMERATOR = 255


def to_bytes(sequence: "NoteSequence") -> bytes:
    """The content of a MIDI file with a NoteSequence.

    Tempi and time signatures that MIDI cannot express become the nearest that it can.
    """
    import note_seq

    stream = io.BytesIO()
    note_seq.note_sequence_to_pretty_midi(_expressible(sequence)).write(stream)
    return stream.getvalue()


def write(sequence: "NoteSequence", path: str | Path) -> None:
    """Writes a NoteSequence as a MIDI file, whole or not at all (see `to_bytes`).

    Raises:
        InputError: If the file cannot be written.
    """
    files.write_output(path, to_bytes(sequence))


def _expressible(sequence: "NoteSequence") -> "NoteSequence":
    """The same NoteSequence, or a changed copy where MIDI cannot express it."""
    slow = any(0 < tempo.qpm < SLOWEST_QPM for tempo in sequence.tempos)
    signatures = [(t.numerator, t.denominator) for t in sequence.time_signatures]
    nearest = [_nearest_signature(*signature) for signature in signatures]
    if not slow and nearest == signatures:
        return sequence
    copy = type(sequence)()
    copy.CopyFrom(sequence)
    for tempo in copy.tempos:
        tempo.qpm = max(tempo.qpm, SLOWEST_QPM)
    for signature, (numerator, denominator) in zip(
        copy.time_signatures, nearest, strict=True
    ):
        signature.numerator, signature.denominator = numerator, denominator
    return copy


def _nearest_signature(numerator: int, denominator: int) -> tuple[int, int]:
    """The time signature of powers of two with a bar of nearly the same length."""
    power = 1
    while power < min(denominator, bars.MAX_DENOMINATOR):
        power *= 2
    beats = Fraction(numerator, max(denominator, 1))
    while round(beats * power) > _MAX_NUMERATOR and power > 1:
        power //= 2
    return min(max(round(beats * power), 1), _MAX_NUMERATOR), power
