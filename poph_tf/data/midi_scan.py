"""The loops over the events of a MIDI file, as code that numba can compile.

`scan` finds the events of all tracks, `pair_notes` makes notes from them: plain Python
over bytes and arrays. `compiled()` gives the same functions as machine code: about a
hundred times as fast, but they take a second to load (and longer on the first use on a
machine). Every access is checked against the end of its track, so that no input can
reach beyond its own bytes.

The code for each event is one loop: numba counts references to arrays at each call, and
a function for each kind of event made the loops four times slower.

Source: The Complete MIDI 1.0 Detailed Specification, Standard MIDI Files 1.0.
"""

import functools
from typing import Any

import numpy as np

from poph_tf.data import numba_utils

MAX_TICK = 2**31
TRACK_NAME, END_OF_TRACK, TEMPO = 0x03, 0x2F, 0x51
TIME_SIGNATURE, KEY_SIGNATURE = 0x58, 0x59
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC
ALL_SOUND_OFF, RESET_CONTROLS, ALL_NOTES_OFF = 120, 121, 123
FAULTS = range(7)
FINE, TOO_MANY, RUNS_PAST, LONG_DELTA, TOO_LONG, NO_STATUS, HIGH_PITCH = FAULTS
REPAIRS = range(6)
AFTER_END, NO_END, CUT_OFF, RUNNING, UNDEFINED, HIGH_DATA = REPAIRS


def scan(
    buffer: Any, bounds: np.ndarray, limit: int, in_sequence: bool,
    events: np.ndarray, others: np.ndarray, ends: np.ndarray, repairs: np.ndarray,
) -> tuple[int, int, int]:  # fmt: skip
    """Finds the events of all tracks.

    Args:
        buffer: bytes, or uint8 [byte].
        bounds: int64 [track, 2]: first byte and end of each track.
        limit: maximum number of events.
        in_sequence: each track begins where the one before ends.
        events: int64 [5, >= events]. Filled with channel events: tick, instrument
            (16 * track + channel), kind and two data bytes.
        others: int64 [5, >= events]. Filled with meta events: kind, tick, position and
            size of the content, track.
        ends: int64 [track, 2]. Filled with the ticks of each track's last event and of
            its end.
        repairs: int64 [kind], counts by `REPAIRS`. Added to.

    Returns:
        One of `FAULTS`, the number of columns filled in `events` and in `others`.
    """
    counts = np.zeros(3, np.int64)
    fault = FINE
    for track in range(len(bounds)):
        if in_sequence and track:
            ends[track] = ends[track - 1, 1]
        fault = scan_track(
            buffer, bounds, track, limit, events, others, ends, repairs, counts
        )
        if fault == RUNS_PAST:
            repairs[CUT_OFF] += 1
            fault = FINE
        if fault != FINE:
            break
    return fault, counts[1], counts[2]


def scan_track(
    buffer: Any, bounds: np.ndarray, track: int, limit: int, events: np.ndarray,
    others: np.ndarray, ends: np.ndarray, repairs: np.ndarray, counts: np.ndarray,
) -> int:  # fmt: skip
    """Like `scan`, for one track; `RUNS_PAST`: its last event is cut off.

    `counts` int64 [3]: events, columns of `events`, of `others`.
    """
    tick, running, interrupted = int(ends[track, 1]), 0, False
    at, end = int(bounds[track, 0]), int(bounds[track, 1])
    while at < end:
        counts[0] += 1
        delta, at = read_number(buffer, at, end)
        tick += delta
        if counts[0] > limit or at < 0 or at >= end or tick > MAX_TICK:
            return event_fault(counts[0] > limit, at, end)
        status = int(buffer[at])
        if status == 0xFF and at + 1 < end and buffer[at + 1] == END_OF_TRACK:
            ends[track, 1] = tick
            repairs[AFTER_END] += at + 3 < end
            return FINE
        ends[track] = tick
        if status >= 0xF0:
            at = pass_system_event(buffer, at, end, tick, track, others, counts)
            repairs[UNDEFINED] += status in (0xF4, 0xF5, 0xF9, 0xFD)
            interrupted = True
            if at >= 0:
                continue
        if at < 0 or status < 0x80 and running == 0:
            return RUNS_PAST if at < 0 else NO_STATUS
        # Many files continue in running status after such an event; players accept it.
        repairs[RUNNING] += interrupted and status < 0x80
        running, at = (status, at + 1) if status >= 0x80 else (running, at)
        interrupted = False
        size = 1 if running >> 4 in (0xC, 0xD) else 2
        if at + size > end:
            return RUNS_PAST
        if not add_event(buffer, at, size, tick, track, running, events, counts):
            return HIGH_PITCH
        repairs[HIGH_DATA] += buffer[at] > 127 or buffer[at + size - 1] > 127
        at += size
    repairs[NO_END] += 1
    return FINE


def event_fault(too_many: bool, at: int, end: int) -> int:
    """Why no event can be read at `at`, which may be the negative fault of its time."""
    if too_many:
        return TOO_MANY
    if at < 0 or at >= end:
        return RUNS_PAST if at >= 0 else -at
    return TOO_LONG


def read_number(buffer: Any, at: int, end: int) -> tuple[int, int]:
    """A variable-length number and the place after it; a negative place is a fault."""
    number = 0
    for _ in range(4):
        if at >= end:
            return 0, -RUNS_PAST
        byte = int(buffer[at])
        number = number << 7 | byte & 0x7F
        at += 1
        if byte < 0x80:
            return number, at
    return 0, -LONG_DELTA if at < end else -RUNS_PAST


def pass_system_event(
    buffer: Any, at: int, end: int, tick: int, track: int, others: np.ndarray,
    counts: np.ndarray,
) -> int:  # fmt: skip
    """Reads an event of no channel; meta and exclusive ones give their own length.

    Returns:
        The place after the event, or -1 if it runs past the end of the track.
    """
    status, kind = int(buffer[at]), -1
    if status not in (0xF0, 0xF7, 0xFF):
        # Undefined ones have no data.
        size = 2 if status == 0xF2 else 1 if status in (0xF1, 0xF3) else 0
        return at + 1 + size if at + 1 + size <= end else -1
    if status == 0xFF and at + 1 < end:
        at += 1
        kind = int(buffer[at])
    length, at = read_number(buffer, at + 1, end)
    if at < 0 or at + length > end:
        return -1
    if kind in (TRACK_NAME, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE):
        k = counts[2]
        others[0, k], others[1, k], others[2, k] = kind, tick, at
        others[3, k], others[4, k] = length, track
        counts[2] += 1
    return at + length


def add_event(
    buffer: Any, at: int, size: int, tick: int, track: int, status: int,
    events: np.ndarray, counts: np.ndarray,
) -> bool:  # fmt: skip
    """Adds a channel event, its data clipped; False if its pitch is impossible."""
    first, second = int(buffer[at]), int(buffer[at + size - 1])
    k, kind = counts[1], status >> 4
    events[0, k], events[1, k], events[2, k] = tick, track << 4 | status & 15, kind
    events[3, k], events[4, k] = min(first, 127), min(second, 127)
    counts[1] += 1
    return first <= 127 or kind not in (NOTE_OFF, NOTE_ON)


def pair_notes(events: np.ndarray, notes: np.ndarray) -> int:
    """Makes notes from channel events; returns their number.

    A note-off ends the oldest open note of its track, channel and pitch; "all notes
    off" and "all sound off" end all of their channel in the track. `notes`
    int64 [6, >= notes] is filled with start, end (ticks; -1 of a note without an end),
    pitch, velocity, program and instrument, in order of note-ons.
    """
    # The oldest and newest open note of each key, the one after each open note.
    heads, tails = np.empty(16 * 128, np.int64), np.empty(16 * 128, np.int64)
    after = np.empty(events.shape[1], np.int64)
    programs, count, track = np.empty(16, np.int64), 0, -1
    for k in range(events.shape[1]):
        tick, instrument, kind = events[0, k], events[1, k], events[2, k]
        channel, first, second = instrument & 0x0F, events[3, k], events[4, k]
        if instrument >> 4 != track:
            track = instrument >> 4
            heads[:], programs[:] = -1, 0
        key = channel << 7 | first
        if kind == PROGRAM:
            programs[channel] = first
        elif kind == NOTE_ON and second > 0:
            notes[0, count], notes[1, count], notes[2, count] = tick, -1, first
            notes[3, count], notes[4, count] = second, programs[channel]
            notes[5, count] = instrument
            if heads[key] < 0:
                heads[key] = count
            else:
                after[tails[key]] = count
            tails[key], after[count] = count, -1
            count += 1
        elif kind in (NOTE_ON, NOTE_OFF):
            if heads[key] >= 0:
                notes[1, heads[key]] = max(tick, notes[0, heads[key]] + 1)
                heads[key] = after[heads[key]]
        elif kind == CONTROL and first in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            for other in range(channel << 7, channel + 1 << 7):
                while heads[other] >= 0:
                    notes[1, heads[other]] = max(tick, notes[0, heads[other]] + 1)
                    heads[other] = after[heads[other]]
    return count


@functools.cache
def compiled() -> tuple[Any, Any]:
    """`scan` and `pair_notes` as machine code; falls back to Python without numba."""
    helpers = (event_fault, read_number, pass_system_event, add_event, scan_track)
    loops = numba_utils.compiled(scan, *helpers), numba_utils.compiled(pair_notes)
    return loops if all(loops) else (scan, pair_notes)
