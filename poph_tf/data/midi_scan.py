"""The loop over the events of a MIDI file, as code that numba can compile.

`scan` is plain Python over bytes and arrays; `compiled()` is the same function as
machine code, some hundred times as fast, which takes a second to load (and some more
on the first use on a machine). Every access is checked against the end of its track, so
that no input can reach beyond its own bytes.

Source: The Complete MIDI 1.0 Detailed Specification, Standard MIDI Files 1.0.
"""

import functools

import numpy as np

from poph_tf.data import numba_utils

MAX_TICK = 2**31
TRACK_NAME, TEMPO, TIME_SIGNATURE, PEDAL = 0x03, 0x51, 0x58, 0x100
NOTE_COLUMNS = ("start", "end", "pitch", "velocity", "program", "instrument")
OTHER_COLUMNS = ("kind", "tick", "a", "b")
_SUSTAIN = 64
(
    FINE,
    TOO_MANY,
    RUNS_PAST,
    LONG_DELTA,
    TOO_LONG,
    NO_STATUS,
    UNDEFINED,
    HIGH_DATA,
) = range(8)


def scan(buffer, bounds, limit, notes, others, pending):
    """Walks through all tracks.

    Args:
        buffer: bytes, or uint8 [byte].
        bounds: int64 [track, 2]: first byte and end of each track.
        limit: int. Events that are allowed.
        notes: int64 [>= events, 6]. Is filled with NOTE_COLUMNS.
        others: int64 [>= events, 4]. Is filled with OTHER_COLUMNS: kind, tick and
            either position and size (meta events) or instrument and value (pedal).
        pending: int64 [>= events, 3]. For notes that have not ended yet.

    Returns:
        what was wrong (FINE: nothing), the number of notes, the number of others.
    """
    num_events, num_notes, num_others = 0, 0, 0
    heads = np.empty(2048, np.int64)
    programs = np.empty(16, np.int64)
    for track in range(len(bounds)):
        at, end = bounds[track, 0], bounds[track, 1]
        heads[:] = -1
        programs[:] = 0
        num_pending, tick, running = 0, 0, 0
        while at < end:
            num_events += 1
            if num_events > limit:
                return TOO_MANY, num_notes, num_others
            # The time since the last event.
            delta, size, byte = 0, 0, 0x80
            while byte >= 0x80:
                if at >= end:
                    return RUNS_PAST, num_notes, num_others
                if size == 4:
                    return LONG_DELTA, num_notes, num_others
                byte = int(buffer[at])
                delta = delta << 7 | byte & 0x7F
                at += 1
                size += 1
            tick += delta
            if tick > MAX_TICK:
                return TOO_LONG, num_notes, num_others
            if at >= end:
                return RUNS_PAST, num_notes, num_others
            status = int(buffer[at])

            if status in (0xFF, 0xF0, 0xF7):
                # Meta and system exclusive events say how long they are. Many files
                # go on in running status after a meta event, as players do.
                kind = -1
                at += 1
                if status == 0xFF:
                    if at >= end:
                        return RUNS_PAST, num_notes, num_others
                    kind = int(buffer[at])
                    at += 1
                else:
                    running = 0
                length, size, byte = 0, 0, 0x80
                while byte >= 0x80:
                    if at >= end or size == 4:
                        return RUNS_PAST, num_notes, num_others
                    byte = int(buffer[at])
                    length = length << 7 | byte & 0x7F
                    at += 1
                    size += 1
                if at + length > end:
                    return RUNS_PAST, num_notes, num_others
                if kind in (TRACK_NAME, TEMPO, TIME_SIGNATURE):
                    others[num_others, 0] = kind
                    others[num_others, 1] = tick
                    others[num_others, 2] = at
                    others[num_others, 3] = length
                    num_others += 1
                at += length
                continue

            if status < 0x80:
                if running == 0:
                    return NO_STATUS, num_notes, num_others
                status = running
            else:
                running = status
                at += 1
            size = 2
            if 0xC0 <= status < 0xE0 or status in (0xF1, 0xF3):
                size = 1
            elif status in (0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE):
                size = 0
            elif status > 0xF3:
                return UNDEFINED, num_notes, num_others
            if at + size > end:
                return RUNS_PAST, num_notes, num_others
            first, second = 0, 0
            if size > 0:
                first = int(buffer[at])
            if size > 1:
                second = int(buffer[at + 1])
            at += size
            if status >= 0xF0:
                continue
            if first > 127 or second > 127:
                return HIGH_DATA, num_notes, num_others

            kind = status >> 4
            channel = status & 0x0F
            if kind == 0x9 and second > 0:
                key = channel << 7 | first
                pending[num_pending, 0] = tick
                pending[num_pending, 1] = second
                pending[num_pending, 2] = heads[key]
                heads[key] = num_pending
                num_pending += 1
            elif kind == 0x8 or kind == 0x9:
                # Ends every open note of its pitch that did not begin on its tick.
                # What did stays open if there was another; else it has no length
                # and is left out.
                key = channel << 7 | first
                place, kept, closed = heads[key], -1, 0
                while place >= 0:
                    following = pending[place, 2]
                    if pending[place, 0] == tick:
                        pending[place, 2] = kept
                        kept = place
                    else:
                        notes[num_notes, 0] = pending[place, 0]
                        notes[num_notes, 1] = tick
                        notes[num_notes, 2] = first
                        notes[num_notes, 3] = pending[place, 1]
                        notes[num_notes, 4] = programs[channel]
                        notes[num_notes, 5] = track << 4 | channel
                        num_notes += 1
                        closed += 1
                    place = following
                heads[key] = kept if closed > 0 else -1
            elif kind == 0xC:
                programs[channel] = first
            elif kind == 0xB and first == _SUSTAIN:
                others[num_others, 0] = PEDAL
                others[num_others, 1] = tick
                others[num_others, 2] = track << 4 | channel
                others[num_others, 3] = second
                num_others += 1
    return FINE, num_notes, num_others


@functools.cache
def compiled():
    """`scan` as machine code; itself where numba is not to be had."""
    return numba_utils.compiled(scan) or scan
