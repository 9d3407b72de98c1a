"""Reads the notes of a Standard MIDI File into arrays, note for note as note-seq does.

Conventions, which are those of pretty_midi (note-seq's parser): a note-off ends every
open note of its track, channel and pitch that did not begin on the same tick; a note
without a note-off is left out, and so is one of zero length; a note's program is its
channel's in its track when it ends; channel 10 is drums. Unlike there, tempi and time
signatures count in whatever track they stand (`data/midi.py` moves them to the first track
before note-seq sees them), meta events with impossible contents are passed over, and
chunks of other kinds are skipped.

Where the bytes contradict the standard the file is rejected, with one of a few reasons.
Memory is bounded by the size of the file.
"""

import struct

import numpy as np

from poph_tf.data import midi_scan
from poph_tf.data import notes as notes_lib
from poph_tf.errors import MusicFileError

DRUM_CHANNEL = 9
MAX_EVENTS = 1_000_000
# An event with its time takes two bytes at least.
_LEAST_EVENT_BYTES = 2
_REASONS = {
    midi_scan.RUNS_PAST: "an event runs past the end of its track",
    midi_scan.LONG_DELTA: "a delta time is longer than 4 bytes",
    midi_scan.TOO_LONG: f"longer than {midi_scan.MAX_TICK:,} ticks",
    midi_scan.NO_STATUS: "a data byte without a status byte",
    midi_scan.UNDEFINED: "an undefined status byte",
    midi_scan.HIGH_DATA: "a data byte above 127",
}


class _Broken(Exception):
    """The file is wrong; the argument says how."""


def parse(data, name="MIDI data", *, max_events=MAX_EVENTS, compiled=False):
    """Reads the notes of a MIDI file.

    Args:
        data: bytes.
        name: str. How errors call the file.
        max_events: int. More are rejected.
        compiled: bool. Use machine code: worth its start for many files.

    Returns:
        notes.Notes; `instrument` is 16 * track + channel.

    Raises:
        MusicFileError: If the file is not one that can be read.
    """
    try:
        ticks_per_quarter, places = tracks(data)
        return _notes(data, places, ticks_per_quarter, max_events, compiled)
    except _Broken as broken:
        raise MusicFileError(name, broken) from None


def unwrapped(data):
    """The MIDI file inside a RIFF file (.rmi), else `data` as it is."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        at = data.find(b"MThd", 12, 64)
        if at > 0:
            return data[at:]
    return data


def tracks(data):
    """Finds the tracks of a MIDI file.

    Args:
        data: bytes.

    Returns:
        ticks_per_quarter: int; list of (first byte, end) of each track's events.
    """
    if data[:4] != b"MThd":
        raise _Broken("not a MIDI file (it does not begin with MThd)")
    if len(data) < 14:
        raise _Broken("truncated: the header is cut off")
    size, kind, declared, division = struct.unpack(">IHHH", data[4:14])
    if size < 6:
        raise _Broken("the header is shorter than 6 bytes")
    if kind > 1:
        raise _Broken(
            "MIDI format 2: its tracks are not one piece"
            if kind == 2
            else "unknown MIDI format"
        )
    if not 0 < division < 0x8000:
        raise _Broken("no ticks per quarter note (SMPTE time or 0)")
    places, at = [], 8 + size
    while len(places) < declared:
        if at + 8 > len(data):
            raise _Broken("truncated: fewer tracks than the header says")
        length = struct.unpack(">I", data[at + 4 : at + 8])[0]
        if at + 8 + length > len(data):
            raise _Broken("truncated: a track is cut off")
        if data[at : at + 4] == b"MTrk":
            places.append((at + 8, at + 8 + length))
        at += 8 + length
    return division, places


def _notes(data, places, ticks_per_quarter, max_events, compiled):
    bounds = np.array(places, np.int64).reshape(-1, 2)
    room = min(
        int((bounds[:, 1] - bounds[:, 0]).sum()) // _LEAST_EVENT_BYTES, max_events
    )
    notes, others, pending = (np.empty((room + 1, k), np.int64) for k in (6, 4, 3))
    scan = midi_scan.compiled() if compiled else midi_scan.scan
    buffer = np.frombuffer(data, np.uint8) if compiled else data
    fault, num_notes, num_others = scan(
        buffer, bounds, max_events, notes, others, pending
    )
    if fault == midi_scan.TOO_MANY:
        raise _Broken(f"more than {max_events:,} events")
    if fault != midi_scan.FINE:
        raise _Broken(_REASONS[fault])
    columns = np.ascontiguousarray(notes[:num_notes].T)
    tempos, signatures, pedals, title = _others(data, others[:num_others])
    return notes_lib.Notes(
        start_tick=columns[0],
        end_tick=columns[1],
        pitch=columns[2].astype(np.uint8),
        velocity=columns[3].astype(np.uint8),
        program=columns[4].astype(np.uint8),
        instrument=columns[5],
        is_drum=columns[5] & 0x0F == DRUM_CHANNEL,
        ticks_per_quarter=ticks_per_quarter,
        tempo_ticks=tempos[:, 0],
        tempo_qpms=6e7 / tempos[:, 1],
        time_signatures=signatures,
        pedals=pedals,
        bar_marks=np.zeros((0, 2), np.int64),
        title=title,
    )


def _others(data, others):
    """Tempi [n, 2] (tick, microseconds), metres [n, 3], pedals [n, 3], the title."""
    is_pedal = others[:, 0] == midi_scan.PEDAL
    tempos, signatures, title = [], [], ""
    for kind, tick, at, size in others[~is_pedal].tolist():
        body = data[at : at + size]
        if kind == midi_scan.TEMPO and size == 3 and any(body):
            tempos.append((tick, int.from_bytes(body, "big")))
        elif kind == midi_scan.TIME_SIGNATURE and size == 4:
            if body[0] and body[1] <= 7:
                signatures.append((tick, body[0], 2 ** body[1]))
        elif kind == midi_scan.TRACK_NAME and not title and size < 0x80:
            title = body.decode("utf-8", "replace").strip("\0 ")
    tempos = np.array(tempos, np.int64).reshape(-1, 2)
    signatures = np.array(signatures, np.int64).reshape(-1, 3)
    return _by_tick(tempos), _by_tick(signatures), _by_tick(others[is_pedal, 1:]), title


def _by_tick(rows):
    # Tracks come one after another: their events are put in order of time.
    if len(rows) < 2:
        return rows
    return rows[np.argsort(rows[:, 0], kind="stable")]
