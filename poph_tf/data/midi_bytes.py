"""Reads the notes of a Standard MIDI File into arrays.

Notes are paired as MIDI players do it: a note-off ends the oldest open note of its
track, channel and pitch; a note without a note-off lasts to the end of the other events
of its track; the pedal of a channel applies in all of its tracks; channel 10 is drums.
Tempi and time signatures of every track are read; impossible ones are skipped.

A file that violates the standard is read as most players read it, and each repair is
counted by kind (`Notes.repairs`); a few faults leave nothing to play and are rejected,
each with its reason. Memory is bounded by the size of the file.
"""

import dataclasses
import struct
from fractions import Fraction

import numpy as np

from poph_tf.data import key_signatures, midi_chunks, midi_scan
from poph_tf.data import notes as notes_lib
from poph_tf.data.notes import Notes
from poph_tf.errors import MusicFileError

DRUM_CHANNEL = 9
MAX_EVENTS = 1_000_000
# An event with its time takes at least two bytes.
_LEAST_EVENT_BYTES = 2
# Copies of pedal events for the other tracks of a channel; more is not music.
_MOST_PEDALS = 4 * MAX_EVENTS
_REASONS = {
    midi_scan.LONG_DELTA: "a delta time is longer than 4 bytes",
    midi_scan.TOO_LONG: f"longer than {midi_scan.MAX_TICK:,} ticks",
    midi_scan.NO_STATUS: "a data byte without a status byte",
    midi_scan.HIGH_PITCH: "a pitch above 127",
}
_REPAIRS = {
    midi_scan.AFTER_END: "bytes after the end of a track left out",
    midi_scan.NO_END: "a track without its end",
    midi_scan.CUT_OFF: "the last event of a track cut off",
    midi_scan.RUNNING: "running status after another kind of event",
    midi_scan.UNDEFINED: "an undefined status byte left out",
    midi_scan.HIGH_DATA: "a data byte above 127 clipped",
}
_UNENDED = "a note without an end"


def parse(
    data: bytes,
    name: str = "MIDI data",
    *,
    max_events: int = MAX_EVENTS,
    compiled: bool = False,
) -> Notes:
    """Reads the notes of a MIDI file.

    Args:
        data: the file's content, possibly within a RIFF or MacBinary file.
        name: the file's name in error messages.
        max_events: files with more events are rejected.
        compiled: use machine code, which pays off for many files.

    Returns:
        Notes; `instrument` is 16 * track + channel.

    Raises:
        MusicFileError: If the file cannot be read.
    """
    chunks = midi_chunks.find(data, name)
    bounds = np.array(chunks.bounds, np.int64)
    room = int((bounds[:, 1] - bounds[:, 0]).sum()) // _LEAST_EVENT_BYTES
    room = min(room, max_events) + 1
    events, others, table = (np.empty((k, room), np.int64) for k in (5, 5, 6))
    ends, counts = np.zeros_like(bounds), np.zeros(len(midi_scan.REPAIRS), np.int64)
    loops = midi_scan.compiled() if compiled else (midi_scan.scan, midi_scan.pair_notes)
    scan, pair_notes = loops
    fault, num_events, num_others = scan(
        np.frombuffer(data, np.uint8) if compiled else data,
        *(bounds, max_events, chunks.in_sequence, events, others, ends, counts),
    )
    if fault == midi_scan.TOO_MANY:
        raise MusicFileError(name, f"more than {max_events:,} events")
    if fault != midi_scan.FINE:
        raise MusicFileError(name, _REASONS[fault])
    events = events[:, :num_events]
    table = table[:, : pair_notes(events, table)]
    chunks.repairs.update(
        {text: int(counts[k]) for k, text in _REPAIRS.items() if counts[k]}
    )
    start, end, instrument = table[[0, 1, 5]]
    if (unended := end < 0).any():
        chunks.repairs[_UNENDED] += int(unended.sum())
        last, track_end = ends[instrument >> 4].T
        last = np.where(last > start, last, track_end)
        table[1] = np.where(unended, np.maximum(last, start + 1), end)
    notes = _notes(data, chunks, table, events, others[:, :num_others])
    if chunks.ticks_per_second:
        notes = notes_lib.in_quarters(notes, chunks.ticks_per_second)
    notes = dataclasses.replace(notes, time_signatures=_metres(notes))
    return notes_lib.with_possible_tempos(notes)


def _notes(
    data: bytes,
    chunks: midi_chunks.Chunks,
    table: np.ndarray,
    events: np.ndarray,
    others: np.ndarray,
) -> Notes:
    """Makes notes from the tables that `midi_scan` fills."""
    start_tick, end_tick, *numbers, instrument = table
    pitch, velocity, program = (row.astype(np.uint8) for row in numbers)
    tempos, signatures = (
        _by_tick(np.array(rows, np.int64).reshape(-1, columns))
        for rows, columns in zip(_meta_events(data, others), (2, 3), strict=True)
    )
    titles = _titles(data, others)
    # Faster than sorting them.
    instruments = np.flatnonzero(np.bincount(instrument))
    # If they all share one track, its name is none of theirs.
    named = titles if len(chunks.bounds) > 1 else {}
    names = {i: named[i >> 4] for i in instruments.tolist() if i >> 4 in named}
    # The first track names the piece, unless it is a part itself.
    is_part = any(instrument >> 4 == 0 for instrument in names)
    return Notes(
        start_tick=start_tick,
        end_tick=end_tick,
        pitch=pitch,
        velocity=velocity,
        program=program,
        instrument=instrument,
        is_drum=instrument & 0x0F == DRUM_CHANNEL,
        ticks_per_quarter=chunks.ticks_per_quarter,
        tempo_ticks=tempos[:, 0],
        tempo_qpms=6e7 / tempos[:, 1],
        time_signatures=signatures,
        pedals=_pedals(events, instruments),
        bar_marks=np.zeros((0, 2), np.int64),
        title="" if is_part else titles.get(0, ""),
        names=names,
        repairs=dict(chunks.repairs),
        keys=_keys(data, others),
    )


def _pedals(events: np.ndarray, instruments: np.ndarray) -> np.ndarray:
    """int64 [event, 3]: tick, instrument, value of the pedal, ascending.

    "All sound off" and "reset all controllers" release it. A channel has one pedal,
    whatever tracks its events and notes are in.
    """
    controls = events[:, np.flatnonzero(events[2] == midi_scan.CONTROL)]
    chosen = controls[3] == notes_lib.SUSTAIN_CONTROL
    for reset in (midi_scan.ALL_SOUND_OFF, midi_scan.RESET_CONTROLS):
        chosen |= controls[3] == reset
    tick, sender, _, control, value = controls[:, chosen]
    value = np.where(control == notes_lib.SUSTAIN_CONTROL, value, 0)
    rows = _by_tick(np.stack([tick, sender, value], axis=1))
    if len(rows) * len(instruments) > _MOST_PEDALS:
        return rows
    copies = [np.zeros((0, 3), np.int64)]
    for instrument in instruments:
        own = rows[rows[:, 1] & 0x0F == instrument & 0x0F]
        own[:, 1] = instrument
        copies.append(own)
    return _by_tick(np.concatenate(copies))


def _meta_events(
    data: bytes, others: np.ndarray
) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Tempi (tick, microseconds) and time signatures (tick, numerator, denominator)."""
    tempos, signatures = [], []
    for kind, tick, at, size, _ in others.T.tolist():
        body = data[at : at + size]
        if kind == midi_scan.TEMPO and size == 3 and any(body):
            tempos.append((tick, int.from_bytes(body)))
        elif kind == midi_scan.TIME_SIGNATURE and size >= 2 and body[0]:
            signatures += [(tick, body[0], 2 ** body[1])] * (body[1] <= 7)
    return tempos, signatures


def _keys(data: bytes, others: np.ndarray) -> tuple[int, ...]:
    """The keys 0..23 that the first key signature allows."""
    signs = others[1:4, others[0] == midi_scan.KEY_SIGNATURE].T
    for _, at, size in _by_tick(signs)[:1].tolist():
        sharps, mode = struct.unpack("bb", data[at : at + 2]) if size == 2 else (0, 0)
        mode = key_signatures.MINOR if mode == 1 else key_signatures.UNSAID
        if abs(sharps) <= 7:
            tonic = key_signatures.tonic_of(sharps, mode)
            return key_signatures.possible_keys(tonic, mode)
    return ()


def _titles(data: bytes, others: np.ndarray) -> dict[int, str]:
    """The first name of each track that has one."""
    titles: dict[int, str] = {}
    for kind, _, at, size, track in others.T.tolist():
        if kind == midi_scan.TRACK_NAME and size < 0x80 and not titles.get(track):
            titles[track] = _decoded(data[at : at + size]).strip("\0 ")
    return {track: title for track, title in titles.items() if title}


def _decoded(text: bytes) -> str:
    """Text of a MIDI file, which does not say its encoding.

    If it is not UTF-8, it is Shift-JIS where enough bytes are beyond ASCII, some of
    them where Latin-1 has no letters; otherwise it is Latin-1 as on Windows.
    """
    high = sum(byte >= 0x80 for byte in text)
    no_letters = any(0x81 <= byte <= 0x9F for byte in text)
    japanese = (no_letters and 4 * high >= len(text)) or 2 * high > len(text)
    for encoding in ("utf-8", *["cp932"] * japanese, "cp1252"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode("latin-1")


def _metres(notes: Notes) -> np.ndarray:
    """int64 [change, 3]: time signatures, without those that change nothing.

    A pickup written as a bar of its own, at most half of the next, gets the metre of
    that bar, which the bar line then cuts short (see `bars.positions_of`).
    """
    rows = notes.time_signatures
    if len(rows) < 2:
        return rows
    rows = rows[np.append(rows[1:, 0] != rows[:-1, 0], True)]
    changes = np.append(True, (rows[1:, 1:] != rows[:-1, 1:]).any(axis=1))
    rows = rows[changes].copy()
    if len(rows) > 1 and rows[0, 0] == 0:
        first, second = (Fraction(int(n), int(d)) for _, n, d in rows[:2])
        if rows[1, 0] == 4 * first * notes.ticks_per_quarter and 2 * first <= second:
            rows[0, 1:] = rows[1, 1:]
    return rows


def _by_tick(rows: np.ndarray) -> np.ndarray:
    # Tracks come one after another, so their events must be sorted by time.
    return rows[np.argsort(rows[:, 0], kind="stable")]
