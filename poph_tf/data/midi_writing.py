"""Writes NoteSequences as Standard MIDI Files of format 1.

The first track holds the title, tempi, time and key signatures. Each instrument with
its program has its own track and channel (channel 10 is for drums; the other 15 are
reused if there are more), with its name, notes, controllers and pitch bends. Times fall
on the ticks of the sequence, so that a file is written back as it was read.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from poph_tf.data import bars, key_signatures, midi_bytes, midi_chunks
from poph_tf.data import notes as notes_lib

if TYPE_CHECKING:
    from note_seq import NoteSequence

# The slowest tempo that fits into MIDI's three bytes, microseconds per quarter; the
# numerator of a time signature has one byte.
SLOWEST_QPM = 60e6 / (2**24 - 1)
_MAX_NUMERATOR = 255
_MAX_TICKS_PER_QUARTER = 0x7FFF
_MELODIC_CHANNELS = [c for c in range(16) if c != midi_bytes.DRUM_CHANNEL]
# tick, place among the events of a tick, bytes.
_Event = tuple[int, int, bytes]
_SETTING, _NOTE_OFF, _NOTE_ON = range(3)


def to_bytes(sequence: "NoteSequence") -> bytes:
    """Encodes a NoteSequence as the content of a MIDI file.

    Tempi and time signatures that MIDI cannot express become the nearest that it can.

    Raises:
        InputError: If the sequence holds impossible numbers.
    """
    sequence = _expressible(sequence)
    notes = notes_lib.from_sequence(sequence)
    tracks = [_track(list(_head(sequence, notes)))]
    parts = np.stack([notes.instrument, notes.program, notes.is_drum])
    channels = iter(_MELODIC_CHANNELS * len(notes))
    for part in np.unique(parts, axis=1).T:
        own = (part == parts.T).all(axis=1)
        instrument, program, is_drum = part.tolist()
        channel = midi_bytes.DRUM_CHANNEL if is_drum else next(channels)
        events = list(_controls(sequence, instrument, channel))
        events.append((0, _SETTING, bytes([0xC0 | channel, program])))
        if name := notes.names.get(instrument):
            events.append((0, _SETTING, _meta(3, name.encode())))
        tracks.append(_track(events + _notes(notes_lib.select(notes, own), channel)))
    head = (b"MThd", 6, 1, len(tracks), notes.ticks_per_quarter)
    return struct.pack(">4sIHHH", *head) + b"".join(tracks)


def _head(sequence: "NoteSequence", notes: notes_lib.Notes) -> Iterator[_Event]:
    if notes.title:
        yield 0, _SETTING, _meta(3, notes.title.encode())
    for tick, qpm in zip(notes.tempo_ticks.tolist(), notes.tempo_qpms, strict=True):
        microseconds = max(round(6e7 / qpm), 1)
        yield tick, _SETTING, _meta(0x51, microseconds.to_bytes(3))
    for tick, numerator, denominator in notes.time_signatures.tolist():
        metre = bytes([numerator, denominator.bit_length() - 1, 24, 8])
        yield tick, _SETTING, _meta(0x58, metre)
    clock = notes_lib.Clock.of(sequence)
    for key in sequence.key_signatures:
        minor = key.mode == key_signatures.MINOR
        sharps = key_signatures.sharps_of(key.key, key.mode)
        tick = int(clock.ticks(key.time))
        yield tick, _SETTING, _meta(0x59, struct.pack("bb", sharps, minor))


def _controls(
    sequence: "NoteSequence", instrument: int, channel: int
) -> Iterator[_Event]:
    """Controllers and pitch bends of an instrument."""
    clock = notes_lib.Clock.of(sequence)
    for control in sequence.control_changes:
        if control.instrument == instrument:
            data = (control.control_number & 0x7F, control.control_value & 0x7F)
            tick = int(clock.ticks(control.time))
            yield tick, _SETTING, bytes([0xB0 | channel, *data])
    for bend in sequence.pitch_bends:
        if bend.instrument == instrument:
            value = min(max(bend.bend + 0x2000, 0), 0x3FFF)
            tick = int(clock.ticks(bend.time))
            yield tick, _SETTING, bytes([0xE0 | channel, value & 0x7F, value >> 7])


def _notes(notes: notes_lib.Notes, channel: int) -> list[_Event]:
    ends = np.maximum(notes.end_tick, notes.start_tick + 1).tolist()
    pitches, starts = notes.pitch.tolist(), notes.start_tick.tolist()
    velocities = notes.velocity.tolist()
    events = [
        (tick, _NOTE_ON, bytes([0x90 | channel, pitch, velocity]))
        for tick, pitch, velocity in zip(starts, pitches, velocities, strict=True)
    ]
    return events + [
        (tick, _NOTE_OFF, bytes([0x80 | channel, pitch, 0]))
        for tick, pitch in zip(ends, pitches, strict=True)
    ]


def _track(events: list[_Event]) -> bytes:
    """A track chunk from events in any order."""
    body, now = bytearray(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        body += _number(tick - now) + message
        now = tick
    body += _number(0) + midi_chunks.END_OF_TRACK
    return midi_chunks.TRACK + len(body).to_bytes(4) + body


def _meta(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """A variable-length number."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def _expressible(sequence: "NoteSequence") -> "NoteSequence":
    """The same NoteSequence, or a changed copy where MIDI cannot express it."""
    slow = any(0 < tempo.qpm < SLOWEST_QPM for tempo in sequence.tempos)
    signatures = [(t.numerator, t.denominator) for t in sequence.time_signatures]
    nearest = [_nearest_signature(*signature) for signature in signatures]
    if len(nearest) > 1 and nearest[0] == nearest[1]:
        nearest[0] = _pickup_signature(sequence, *nearest[1])
    fine = sequence.ticks_per_quarter > _MAX_TICKS_PER_QUARTER
    if not slow and not fine and nearest == signatures:
        return sequence
    copy = type(sequence)()
    copy.CopyFrom(sequence)
    if fine:
        copy.ticks_per_quarter = notes_lib.SCORE_TICKS_PER_QUARTER
    for tempo in copy.tempos:
        tempo.qpm = max(tempo.qpm, SLOWEST_QPM)
    for signature, (numerator, denominator) in zip(
        copy.time_signatures, nearest, strict=True
    ):
        signature.numerator, signature.denominator = numerator, denominator
    return copy


def _pickup_signature(
    sequence: "NoteSequence", numerator: int, denominator: int
) -> tuple[int, int]:
    """The time signature of a first bar that is followed by the same one.

    In a MIDI file a repeated one says nothing. A pickup of up to half a bar gets the
    metre of its length; a longer one gets the same metre written differently.
    """
    qpm = sequence.tempos[0].qpm if sequence.tempos else notes_lib.DEFAULT_QPM
    wholes = Fraction(sequence.time_signatures[1].time * qpm / 240)
    length = wholes.limit_denominator(bars.MAX_DENOMINATOR)
    bar = Fraction(numerator, denominator)
    if length >= bar:
        return numerator, denominator
    if 2 * length <= bar:
        power = max(4, length.denominator)
        if power & (power - 1) == 0:
            return int(length * power), power
    return _nearest_signature(2 * numerator, 2 * denominator)


def _nearest_signature(numerator: int, denominator: int) -> tuple[int, int]:
    """The time signature over a power of two with a bar of nearly the same length."""
    power = 1
    while power < min(denominator, bars.MAX_DENOMINATOR):
        power *= 2
    beats = Fraction(numerator, max(denominator, 1))
    while round(beats * power) > _MAX_NUMERATOR and power > 1:
        power //= 2
    return min(max(round(beats * power), 1), _MAX_NUMERATOR), power
