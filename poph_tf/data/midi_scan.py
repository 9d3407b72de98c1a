"""The loops over the events of a MIDI file, as code that numba can compile.

`scan` finds the events of all tracks, `pair_notes` makes notes of them: plain Python
over bytes and arrays. `compiled()` gives the same functions as machine code, some
hundred times as fast, which takes a second to load (and some more on the first use on a
machine). Every access is checked against the end of its track, so that no input can
reach beyond its own bytes.

What runs for each event is one loop: numba counts references to arrays at each call,
and a function for each kind of event made the loops four times slower.

Source: The Complete MIDI 1.0 Detailed Specification, Standard MIDI Files 1.0.
"""

import functools
from typing import Any

import numpy as np

from poph_tf.data import numba_utils

MAX_TICK = 2**31
TRACK_NAME, TEMPO, TIME_SIGNATURE = 0x03, 0x51, 0x58
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC
FAULTS = range(8)
FINE, TOO_MANY, RUNS_PAST, LONG_DELTA, TOO_LONG, NO_STATUS, UNDEFINED, HIGH_DATA = (
    FAULTS
)


def scan(
    buffer: Any, bounds: np.ndarray, limit: int, events: np.ndarray, others: np.ndarray
) -> tuple[int, int, int]:
    """Finds the events of all tracks.

    Args:
        buffer: bytes, or uint8 [byte].
        bounds: int64 [track, 2]: first byte and end of each track.
        limit: events that are allowed.
        events: int64 [5, >= events]. Is filled with events of channels: tick,
            instrument (16 * track + channel), kind and two data bytes.
        others: int64 [4, >= events]. Is filled with meta events: kind, tick, place and
            size of the content.

    Returns:
        One of `FAULTS`, the number of columns filled in `events` and in `others`.
    """
    counts = np.zeros(3, np.int64)
    fault = FINE
    for track in range(len(bounds)):
        fault = scan_track(buffer, bounds, track, limit, events, others, counts)
        if fault != FINE:
            break
    return fault, counts[1], counts[2]


def scan_track(
    buffer: Any, bounds: np.ndarray, track: int, limit: int, events: np.ndarray,
    others: np.ndarray, counts: np.ndarray,
) -> int:  # fmt: skip
    """As `scan`, of one track; `counts` int64 [3]: events, columns of each table."""
    tick, running, at, end = 0, 0, int(bounds[track, 0]), int(bounds[track, 1])
    while at < end:
        counts[0] += 1
        if counts[0] > limit:
            return TOO_MANY
        delta, at = read_number(buffer, at, end)
        tick += delta
        if at < 0:
            return -at
        if tick > MAX_TICK:
            return TOO_LONG
        if at >= end:
            return RUNS_PAST
        status = int(buffer[at])
        if status in (0xFF, 0xF0, 0xF7):
            # Many files continue in running status after a meta event, as players do.
            running = running if status == 0xFF else 0
            at = pass_long_event(buffer, at, end, tick, others, counts)
            if at < 0:
                return RUNS_PAST
            continue
        at, running = (at, running) if status < 0x80 else (at + 1, status)
        size = data_size(running)
        if size < 0 or at + size > end:
            return -size if size < 0 else RUNS_PAST
        if running < 0xF0:
            first, second = int(buffer[at]), int(buffer[at + size - 1])
            if first > 127 or second > 127:
                return HIGH_DATA
            k = counts[1]
            events[0, k], events[1, k] = tick, track << 4 | running & 0x0F
            events[2, k], events[3, k], events[4, k] = running >> 4, first, second
            counts[1] += 1
        at += size
    return FINE


def read_number(buffer: Any, at: int, end: int) -> tuple[int, int]:
    """A number of variable length and the place after it; a negative one is a fault."""
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


def pass_long_event(
    buffer: Any, at: int, end: int, tick: int, others: np.ndarray, counts: np.ndarray
) -> int:
    """Meta and system exclusive events, which give their own length.

    Returns:
        The place after the event, or -1 if it runs past the end of the track.
    """
    kind = -1
    if buffer[at] == 0xFF and at + 1 < end:
        at += 1
        kind = int(buffer[at])
    length, at = read_number(buffer, at + 1, end)
    if at < 0 or at + length > end:
        return -1
    if kind in (TRACK_NAME, TEMPO, TIME_SIGNATURE):
        k = counts[2]
        others[0, k], others[1, k] = kind, tick
        others[2, k], others[3, k] = at, length
        counts[2] += 1
    return at + length


def data_size(status: int) -> int:
    """The number of data bytes after a status byte; a negative one is a fault."""
    if status == 0:
        return -NO_STATUS
    if 0xC0 <= status < 0xE0 or status in (0xF1, 0xF3):
        return 1
    if status < 0xF3:
        return 2
    if status in (0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE):
        return 0
    return -UNDEFINED


def pair_notes(events: np.ndarray, notes: np.ndarray) -> int:
    """Makes notes of the events of channels; returns their number.

    A note-off ends every open note of its channel and pitch that did not begin on its
    tick. A note that did stays open if there was another; else it has no length and is
    left out. `notes` int64 [6, >= notes] is filled with start, end (ticks), pitch,
    velocity, program and instrument.
    """
    # The newest open note of each key, the one before each open note; -1: none.
    heads, before = np.full(16 * 128, -1), np.empty(events.shape[1], np.int64)
    programs = np.zeros(16, np.int64)
    count, track = 0, -1
    for k in range(events.shape[1]):
        tick, instrument, kind = events[0, k], events[1, k], events[2, k]
        channel, pitch, value = instrument & 0x0F, events[3, k], events[4, k]
        if instrument >> 4 != track:
            track = instrument >> 4
            heads[:], programs[:] = -1, 0
        key = channel << 7 | pitch
        if kind == PROGRAM:
            programs[channel] = pitch
        elif kind == NOTE_ON and value > 0:
            before[k], heads[key] = heads[key], k
        elif kind in (NOTE_ON, NOTE_OFF):
            open_, kept, closed = heads[key], -1, False
            while open_ >= 0:
                following = before[open_]
                if events[0, open_] == tick:
                    before[open_], kept = kept, open_
                else:
                    notes[0, count], notes[1, count] = events[0, open_], tick
                    notes[2, count], notes[3, count] = pitch, events[4, open_]
                    notes[4, count], notes[5, count] = programs[channel], instrument
                    count, closed = count + 1, True
                open_ = following
            heads[key] = kept if closed else -1
    return count


@functools.cache
def compiled() -> tuple[Any, Any]:
    """`scan` and `pair_notes` as machine code; falls back to Python without numba."""
    helpers = (read_number, pass_long_event, data_size, scan_track)
    loops = numba_utils.compiled(scan, *helpers), numba_utils.compiled(pair_notes)
    return loops if all(loops) else (scan, pair_notes)
