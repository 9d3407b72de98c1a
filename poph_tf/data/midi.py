"""Reads and writes music files as NoteSequences.

MIDI (.mid .midi .kar .rmi), MusicXML (.xml .musicxml .mxl) and ABC (.abc) are read with
note-seq. Whatever is wrong with a file raises `MusicFileError` with a reason in words
that are the same for every file with that fault.

Before note-seq sees a MIDI file, its bytes are checked (`data/midi_bytes.py`): a
cut-off file, absurd lengths and the like are told apart, and none can exhaust memory.
"""

import io
import os
import pathlib
import warnings
from fractions import Fraction

from poph_tf import files
from poph_tf.data import abc, bars, midi_bytes, musicxml
from poph_tf.data import notes as notes_lib
from poph_tf.errors import MusicFileError

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
MUSICXML_SUFFIXES = (".xml", ".musicxml", ".mxl")
ABC_SUFFIXES = (".abc",)
SUFFIXES = MIDI_SUFFIXES + MUSICXML_SUFFIXES + ABC_SUFFIXES
# note-seq's parser makes a table with an entry for every tick up to the last.
_MAX_TABLE_TICKS = 10_000_000
# The slowest tempo that fits into the three bytes of MIDI, microseconds a quarter; a
# metre's numerator has one byte.
SLOWEST_QPM = 60e6 / (2**24 - 1)
_MAX_NUMERATOR = 255
_TIED_TO_FIRST_TRACK = ("set_tempo", "time_signature", "key_signature")


def read(path):
    """Reads a file that holds one piece.

    Args:
        path: str or path. Its suffix says the format.

    Returns:
        note_seq.NoteSequence.

    Raises:
        MusicFileError: If there is no such file, it cannot be read, or it holds
            several tunes (see `read_all`), or a tune that cannot be read.
    """
    failures = []
    sequences = list(read_all(path, failures))
    if failures:
        raise MusicFileError(path, f"holds a tune that cannot be read ({failures[0]})")
    if len(sequences) != 1:
        raise MusicFileError(
            path, f"must hold one tune, holds {len(sequences)}; use midi.read_all"
        )
    return sequences[0]


def read_all(path, failures=None):
    """Iterates over the pieces of a file; only ABC files hold more than one.

    Args:
        path: str or path. Its suffix says the format.
        failures: list that gets a reason for each tune that cannot be read, or None.
            A file of which no tune can be read raises.

    Raises:
        MusicFileError: If there is no such file or it cannot be read.

    Yields:
        note_seq.NoteSequence.
    """
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise MusicFileError(path, error.strerror or "cannot be opened") from None
    yield from parse(data, str(path), failures)


def parse(data, name, failures=None):
    """Reads the bytes of a file whose `name` has one of `SUFFIXES`.

    Args:
        data: bytes.
        name: str.
        failures: as for `read_all`.

    Returns:
        list of note_seq.NoteSequence.

    Raises:
        MusicFileError: If they cannot be read.
    """
    suffix = pathlib.PurePath(name).suffix.lower()
    if suffix in MIDI_SUFFIXES:
        sequences = [parse_midi(data, name)]
    elif suffix in MUSICXML_SUFFIXES:
        sequences = [musicxml.parse(data, name)]
    elif suffix in ABC_SUFFIXES:
        sequences = _parse_abc(data, name, failures)
    else:
        raise MusicFileError(name, f"its suffix must be one of {' '.join(SUFFIXES)}")
    for sequence in sequences:
        sequence.filename = readable(os.path.basename(name))
    return sequences


def readable(name):
    """A file name as text; bytes that are not UTF-8 become replacement signs."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def to_bytes(sequence) -> bytes:
    """The content of a MIDI file with a NoteSequence.

    Tempi and metres that MIDI cannot express become the nearest that it can.
    """
    import note_seq

    stream = io.BytesIO()
    note_seq.note_sequence_to_pretty_midi(_sayable(sequence)).write(stream)
    return stream.getvalue()


def write(sequence, path: str | os.PathLike[str]) -> None:
    """Writes a NoteSequence as a MIDI file, whole or not at all (see `to_bytes`).

    Raises:
        InputError: If the file cannot be written.
    """
    files.write_output(path, to_bytes(sequence))


def _sayable(sequence):
    """The same NoteSequence, or a copy where MIDI cannot say what it says."""
    slow = any(0 < tempo.qpm < SLOWEST_QPM for tempo in sequence.tempos)
    metres = [(t.numerator, t.denominator) for t in sequence.time_signatures]
    nearest = [_nearest_metre(*metre) for metre in metres]
    if not slow and nearest == metres:
        return sequence
    copy = type(sequence)()
    copy.CopyFrom(sequence)
    for tempo in copy.tempos:
        tempo.qpm = max(tempo.qpm, SLOWEST_QPM)
    for signature, metre in zip(copy.time_signatures, nearest, strict=True):
        signature.numerator, signature.denominator = metre
    return copy


def _nearest_metre(numerator, denominator):
    """The metre of powers of two whose bar is of the same length, or nearly."""
    power = 1
    while power < min(denominator, bars.MAX_DENOMINATOR):
        power *= 2
    beats = Fraction(numerator, max(denominator, 1))
    while round(beats * power) > _MAX_NUMERATOR and power > 1:
        power //= 2
    return min(max(round(beats * power), 1), _MAX_NUMERATOR), power


def parse_midi(data, name):
    """Reads the bytes of a MIDI file with note-seq.

    Returns:
        note_seq.NoteSequence.

    Raises:
        MusicFileError: If they cannot be read.
    """
    data = midi_bytes.unwrapped(data)
    notes = midi_bytes.parse(data, name)
    import note_seq
    import pretty_midi

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = _tidied(data)
            parsed = pretty_midi.PrettyMIDI(mido_object=file)
            return note_seq.midi_to_note_sequence(parsed)
    except Exception:
        # Key signatures that do not exist, absurd lengths and the like stop note-seq's
        # parser, though the notes are sound.
        return notes_lib.to_sequence(notes)


def _tidied(data):
    """A mido file whose tempi and metres all stand in its first track.

    pretty_midi looks for them there only, but files have them elsewhere.
    """
    import mido

    file = mido.MidiFile(file=io.BytesIO(_known_chunks(data)))
    tied = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            message.time = tick
        if tick > _MAX_TABLE_TICKS:
            raise ValueError("too long for a table of ticks")
        tied += [m for m in track if m.type in _TIED_TO_FIRST_TRACK and _is_sound(m)]
    others = [
        [m for m in track if m.type not in _TIED_TO_FIRST_TRACK]
        for track in file.tracks
    ]
    if others:
        others[0] = sorted(tied + others[0], key=lambda m: m.time)
    file.tracks = [mido.MidiTrack(_relative(track)) for track in others if track]
    return file


def _is_sound(message):
    """Whether a meta event says something that can be (midi_bytes passes it over)."""
    if message.type == "set_tempo":
        return message.tempo > 0
    if message.type == "time_signature":
        return message.numerator > 0 and message.denominator <= 128
    return True


def _relative(messages):
    tick = 0
    for message in messages:
        message.time, tick = message.time - tick, message.time
        yield message


def _known_chunks(data):
    """The same MIDI file without chunks that are not tracks."""
    ticks_per_quarter, tracks = midi_bytes.tracks(data)
    header = b"MThd" + (6).to_bytes(4) + data[8:10]
    header += len(tracks).to_bytes(2) + ticks_per_quarter.to_bytes(2)
    chunks = [b"MTrk" + (end - at).to_bytes(4) + data[at:end] for at, end in tracks]
    return header + b"".join(chunks)


def _parse_abc(data, name, failures):
    tunes = abc.tunes(data, name)
    reasons = [tune.reason for tune in tunes if tune.reason]
    if len(reasons) == len(tunes):
        raise MusicFileError(name, reasons[0])
    if failures is not None:
        failures.extend(reasons)
    return [tune.sequence for tune in tunes if not tune.reason]
