"""Reads the notes of a Standard MIDI File into arrays, note for note as note-seq does.

Conventions, which are those of pretty_midi (note-seq's parser): a note-off ends every
open note of its track, channel and pitch that did not begin on the same tick; a note
without a note-off is left out, and so is one of zero length; a note's program is its
channel's in its track when it ends; channel 10 is drums. Unlike there, tempi and time
signatures count in every track, meta events with impossible contents are skipped, and
so are chunks of other kinds.

A file that contradicts the standard is rejected, with one of a few reasons.
Memory is bounded by the size of the file.
"""

import dataclasses
import struct

import numpy as np

from poph_tf.data import midi_scan
from poph_tf.data.notes import SUSTAIN_CONTROL, Notes
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


def parse(
    data: bytes,
    name: str = "MIDI data",
    *,
    max_events: int = MAX_EVENTS,
    compiled: bool = False,
) -> Notes:
    """Reads the notes of a MIDI file.

    Args:
        data: the file's content; a RIFF file around it is taken off.
        name: what errors call the file.
        max_events: files with more events are rejected.
        compiled: use machine code, which is worth its start for many files.

    Returns:
        Notes; `instrument` is 16 * track + channel.

    Raises:
        MusicFileError: If the file cannot be read.
    """
    data = unwrapped(data)
    ticks_per_quarter, places = tracks(data, name)
    bounds = np.array(places, np.int64).reshape(-1, 2)
    room = int((bounds[:, 1] - bounds[:, 0]).sum()) // _LEAST_EVENT_BYTES
    room = min(room, max_events) + 1
    events, others, notes = (np.empty((k, room), np.int64) for k in (5, 4, 6))
    loops = midi_scan.compiled() if compiled else (midi_scan.scan, midi_scan.pair_notes)
    scan, pair_notes = loops
    buffer = np.frombuffer(data, np.uint8) if compiled else data
    fault, num_events, num_others = scan(buffer, bounds, max_events, events, others)
    if fault == midi_scan.TOO_MANY:
        raise MusicFileError(name, f"more than {max_events:,} events")
    if fault != midi_scan.FINE:
        raise MusicFileError(name, _REASONS[fault])
    events = events[:, :num_events]
    notes = notes[:, : pair_notes(events, notes)]
    others = others[:, :num_others]
    made = _notes(data, ticks_per_quarter, notes, events, others)
    return dataclasses.replace(made, names=_names(data, bounds, others, notes[5]))


def unwrapped(data: bytes) -> bytes:
    """The MIDI file inside a RIFF file (.rmi), else `data` as it is."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        at = data.find(b"MThd", 12, 64)
        if at > 0:
            return data[at:]
    return data


def tracks(data: bytes, name: str) -> tuple[int, list[tuple[int, int]]]:
    """Finds the tracks of a MIDI file.

    Returns:
        Ticks in a quarter note; first byte and end of each track's events.

    Raises:
        MusicFileError: If there is no MIDI file, or not all of it.
    """
    if data[:4] != b"MThd":
        raise MusicFileError(name, "not a MIDI file (it does not begin with MThd)")
    if len(data) < 14:
        raise MusicFileError(name, "truncated: the header is cut off")
    size, kind, declared, division = struct.unpack(">IHHH", data[4:14])
    if size < 6:
        raise MusicFileError(name, "the header is shorter than 6 bytes")
    if kind == 2:
        raise MusicFileError(name, "MIDI format 2: its tracks are not one piece")
    if kind > 2:
        raise MusicFileError(name, "unknown MIDI format")
    if not 0 < division < 0x8000:
        raise MusicFileError(name, "no ticks per quarter note (SMPTE time or 0)")
    places: list[tuple[int, int]] = []
    at = 8 + size
    while len(places) < declared:
        if at + 8 > len(data):
            raise MusicFileError(name, "truncated: fewer tracks than the header says")
        length = struct.unpack(">I", data[at + 4 : at + 8])[0]
        if at + 8 + length > len(data):
            raise MusicFileError(name, "truncated: a track is cut off")
        if data[at : at + 4] == b"MTrk":
            places.append((at + 8, at + 8 + length))
        at += 8 + length
    return division, places


def _notes(
    data: bytes,
    ticks_per_quarter: int,
    notes: np.ndarray,
    events: np.ndarray,
    others: np.ndarray,
) -> Notes:
    """Notes of the tables that `midi_scan` fills."""
    pitch, velocity, program = notes[2:5].astype(np.uint8)
    start_tick, end_tick, instrument = (notes[k].copy() for k in (0, 1, 5))
    is_pedal = (events[2] == midi_scan.CONTROL) & (events[3] == SUSTAIN_CONTROL)
    pedals = events[:, is_pedal][[0, 1, 4]].T
    tempos, signatures, title = _meta_events(data, others)
    return Notes(
        start_tick=start_tick,
        end_tick=end_tick,
        pitch=pitch,
        velocity=velocity,
        program=program,
        instrument=instrument,
        is_drum=instrument & 0x0F == DRUM_CHANNEL,
        ticks_per_quarter=ticks_per_quarter,
        tempo_ticks=tempos[:, 0],
        tempo_qpms=6e7 / tempos[:, 1],
        time_signatures=signatures,
        pedals=_by_tick(pedals),
        bar_marks=np.zeros((0, 2), np.int64),
        title=title,
    )


def _names(
    data: bytes, bounds: np.ndarray, others: np.ndarray, instruments: np.ndarray
) -> dict[int, str]:
    """Names of the instruments: those of their tracks, unless all share one track."""
    if len(bounds) < 2:
        return {}
    names: dict[int, str] = {}
    for _, _, at, size in others[:, others[0] == midi_scan.TRACK_NAME].T.tolist():
        track = int(np.searchsorted(bounds[:, 0], at, "right")) - 1
        names.setdefault(track, _text(data[at : at + size]))
    numbers = np.unique(instruments).tolist()
    return {k: names[k // 16] for k in numbers if names.get(k // 16)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip("\0 ")


def _meta_events(data: bytes, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Tempi [n, 2] (tick, microseconds), time signatures [n, 3], the title."""
    tempos, signatures, title = [], [], ""
    for kind, tick, at, size in others.T.tolist():
        body = data[at : at + size]
        if kind == midi_scan.TEMPO and size == 3 and any(body):
            tempos.append((tick, int.from_bytes(body, "big")))
        elif kind == midi_scan.TIME_SIGNATURE and size == 4:
            if body[0] and body[1] <= 7:
                signatures.append((tick, body[0], 2 ** body[1]))
        elif kind == midi_scan.TRACK_NAME and not title and size < 0x80:
            title = _text(body)
    tempo_rows = np.array(tempos, np.int64).reshape(-1, 2)
    signature_rows = np.array(signatures, np.int64).reshape(-1, 3)
    return _by_tick(tempo_rows), _by_tick(signature_rows), title


def _by_tick(rows: np.ndarray) -> np.ndarray:
    # Tracks come one after another: their events are put in order of time.
    if len(rows) < 2:
        return rows
    return rows[np.argsort(rows[:, 0], kind="stable")]
