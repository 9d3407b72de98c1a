"""Reads the notes of a Standard MIDI File with numpy, some hundred times as fast as
note-seq's reader and note for note the same.

The only loop over events is a walk along the event starts: where each event would end
is first computed for every byte of the file at once. Notes are then paired by sorting.
Whatever the walk finds odd is read again, slowly and strictly, by `_walk_strictly`,
which knows why a file is wrong. Memory is bounded by the size of the file.

Conventions, which are those of pretty_midi (note-seq's parser): a note-off ends every
open note of its track, channel and pitch that did not begin on the same tick; a note
without a note-off is left out, and so is one of zero length; a note's program is its
channel's in its track when it ends; channel 10 is drums. Unlike there, tempi and time
signatures count in whatever track they stand (`midi.py` moves them to the first track
before note-seq sees them), meta events with impossible contents are passed over, and
chunks of other kinds are skipped.

Source: The Complete MIDI 1.0 Detailed Specification, Standard MIDI Files 1.0.
"""

import dataclasses
import struct

import numpy as np

from poph_tf import notes as notes_lib
from poph_tf.errors import MusicFileError

DRUM_CHANNEL = 9
MAX_EVENTS = 1_000_000
MAX_TICK = 2**31
_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM = 0x80, 0x90, 0xB0, 0xC0
_TRACK_NAME, _TEMPO, _TIME_SIGNATURE = 0x03, 0x51, 0x58
_META, _SYSEX, _SYSEX_MORE = 0xFF, 0xF0, 0xF7
# Beyond any position: the walk stops there for events of variable length.
_STOP = 2**31 - 1
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0}
_SYSTEM_DATA |= {0xFB: 0, 0xFC: 0, 0xFE: 0}


class _Broken(Exception):
    """The file is wrong; the argument says how."""


def parse(data, name="MIDI data", *, max_events=MAX_EVENTS):
    """Reads the notes of a MIDI file.

    Args:
        data: bytes.
        name: str. How errors call the file.
        max_events: int. More are rejected.

    Returns:
        notes.Notes; `instrument` is 16 * track + channel.

    Raises:
        MusicFileError: If the file is not one that can be read.
    """
    try:
        ticks_per_quarter, places = tracks(data)
        events = _events(data, places, max_events)
        return _notes(events, ticks_per_quarter)
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


@dataclasses.dataclass
class _Events:
    """What the walk found; arrays [event] in the order of the file."""

    buffer: np.ndarray  # uint8 [byte], padded
    tick: np.ndarray  # int64
    track: np.ndarray  # int64
    status: np.ndarray  # uint8, running status filled in
    is_running: np.ndarray  # bool, the status byte is not there
    status_event: np.ndarray  # int64, the event whose status byte counts
    data: np.ndarray  # int64, position of the first data byte


def _events(data, places, max_events):
    """Walks along all tracks."""
    buffer = np.frombuffer(data + bytes(16), np.uint8)
    ends = _delta_ends(buffer)
    hops = _hops(buffer, ends)
    starts, firsts = [], []
    for begin, end in places:
        firsts.append(len(starts))
        if not _walk(data, begin, end, hops, starts):
            del starts[firsts[-1] :]
            _walk_strictly(data, begin, end, starts)
        if len(starts) > max_events:
            raise _Broken(f"more than {max_events:,} events")
    events = _decoded(buffer, ends, starts, firsts)
    if _is_doubtful(events, starts):
        starts.clear()
        for k, (begin, end) in enumerate(places):
            firsts[k] = len(starts)
            _walk_strictly(data, begin, end, starts)
        events = _decoded(buffer, ends, starts, firsts)
    return events


def _delta_ends(buffer):
    """int32 [byte]: the last byte of the variable-length number that begins there."""
    place = np.arange(len(buffer), dtype=np.int32)
    low = np.where(buffer < 0x80, place, np.int32(len(buffer) - 1))
    return np.minimum.accumulate(low[::-1])[::-1]


def _lengths():
    """int32 [256]: bytes of an event from its status byte; running status has two."""
    lengths = np.full(256, 3, np.int32)
    lengths[:0x80] = 2
    lengths[0xC0:0xE0] = 2
    lengths[0xF0:] = _STOP
    for status, size in _SYSTEM_DATA.items():
        lengths[status] = 1 + size
    return lengths


_LENGTHS = _lengths()


def _hops(buffer, ends):
    """list [byte] of int: the event after one that begins there, or `_STOP`."""
    status_at = np.minimum(ends + 1, len(buffer) - 1)
    lengths = _LENGTHS[buffer[status_at]]
    return np.where(lengths == _STOP, _STOP, status_at + lengths).tolist()


def _walk(data, begin, end, hops, starts):
    """Collects event starts; False if the track needs the strict walk."""
    push = starts.append
    at = begin
    while at < end:
        while at < end:
            push(at)
            at = hops[at]
        if at == _STOP:
            at = _after_long_event(data, starts[-1], end)
            if at is None:
                return False
    return at == end


def _after_long_event(data, start, end):
    """Where a meta or system exclusive event ends; None if it is not sound."""
    at = start
    while at < end and data[at] >= 0x80:
        at += 1
    at += 1
    if at >= end or data[at] not in (_META, _SYSEX, _SYSEX_MORE):
        return None
    at += 2 if data[at] == _META else 1
    size = 0
    for byte in range(at, min(at + 4, end)):
        size = size << 7 | data[byte] & 0x7F
        if data[byte] < 0x80:
            after = byte + 1 + size
            return after if after <= end else None
    return None


def _walk_strictly(data, begin, end, starts):
    """Collects event starts by the letter; raises _Broken with what is wrong."""
    at, running = begin, None
    while at < end:
        starts.append(at)
        delta = at
        while at < end and data[at] >= 0x80:
            at += 1
        at += 1
        if at - delta > 4:
            raise _Broken("a delta time is longer than 4 bytes")
        if at >= end:
            raise _Broken("an event runs past the end of its track")
        status = data[at]
        if status in (_META, _SYSEX, _SYSEX_MORE):
            # Many files go on in running status after a meta event, as players do.
            running = running if status == _META else None
            at = _after_long_event(data, starts[-1], end)
            if at is None:
                raise _Broken("an event runs past the end of its track")
            continue
        if status < 0x80:
            if running is None:
                raise _Broken("a data byte without a status byte")
            at += int(_LENGTHS[running]) - 1
        elif _LENGTHS[status] == _STOP:
            raise _Broken("an undefined status byte")
        else:
            running = status
            at += int(_LENGTHS[status])
        if at > end:
            raise _Broken("an event runs past the end of its track")


def _decoded(buffer, ends, starts, firsts):
    """_Events at `starts`, given where each track's first event stands among them."""
    starts = np.array(starts, np.int64)
    firsts = np.array(firsts, np.int64)
    ends = ends[starts].astype(np.int64)
    status = buffer[ends + 1]
    is_running = status < 0x80
    track = np.searchsorted(firsts, np.arange(len(starts)), side="right") - 1
    # Running status: the last status byte in the track that is not a meta event's.
    carries = np.where(is_running | (status == _META), 0, np.arange(len(starts)))
    status_event = np.where(
        is_running, np.maximum.accumulate(carries), np.arange(len(starts))
    )
    return _Events(
        buffer=buffer,
        tick=_ticks(buffer, starts, ends, firsts, track),
        track=track,
        status=status[status_event],
        is_running=is_running,
        status_event=status_event,
        data=ends + 2 - is_running,
    )


def _is_doubtful(events, starts):
    """Whether the quick walk may be wrong: it takes running events for two bytes."""
    running = np.flatnonzero(events.is_running)
    status = events.status[running]
    odd = (status < 0x80) | (status >= 0xC0) & (status < 0xE0) | (status >= 0xF0)
    odd |= events.track[events.status_event[running]] != events.track[running]
    too_long = np.diff(events.data, prepend=0) < 0 if len(starts) else odd
    return bool(odd.any() or too_long.any())


def _ticks(buffer, starts, ends, firsts, track):
    """int64 [event]: ticks since the start of the piece."""
    size = ends - starts
    if size.max(initial=0) > 3:
        raise _Broken("a delta time is longer than 4 bytes")
    delta = buffer[ends].astype(np.int64)
    for k in range(1, int(size.max(initial=0)) + 1):
        long = size >= k
        delta[long] |= (buffer[ends[long] - k].astype(np.int64) & 0x7F) << 7 * k
    total = np.cumsum(delta)
    if not len(total):
        return total
    before = np.append(0, total)[np.minimum(firsts, len(total))]
    tick = total - before[track]
    if tick.max() > MAX_TICK:
        raise _Broken(f"longer than {MAX_TICK:,} ticks")
    return tick


def _notes(events, ticks_per_quarter):
    """Notes from events."""
    kind = events.status & 0xF0
    first = events.buffer[events.data]
    second = events.buffer[events.data + 1]
    voice = events.status < 0xF0
    two_bytes = voice & (kind != _PROGRAM) & (kind != 0xD0)
    if ((voice & (first > 127)) | (two_bytes & (second > 127))).any():
        raise _Broken("a data byte above 127")
    channel = (events.status & 0x0F).astype(np.int64)
    instrument = events.track * 16 + channel
    begin, end = _pairs(events.tick, kind, instrument, first, second)
    pedal = (kind == _CONTROL) & (first == notes_lib.SUSTAIN_CONTROL)
    tempos, signatures, title = _meta(events)
    return notes_lib.Notes(
        start_tick=events.tick[begin],
        end_tick=events.tick[end],
        pitch=first[begin],
        velocity=second[begin],
        program=_programs(kind, instrument, first, end),
        instrument=instrument[begin],
        is_drum=channel[begin] == DRUM_CHANNEL,
        ticks_per_quarter=ticks_per_quarter,
        tempo_ticks=tempos[:, 0],
        tempo_qpms=6e7 / tempos[:, 1],
        time_signatures=signatures,
        pedals=_by_tick(
            np.stack([events.tick, instrument, second.astype(np.int64)], 1)[pedal]
        ),
        bar_marks=np.zeros((0, 2), np.int64),
        title=title,
    )


def _by_tick(rows):
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _pairs(tick, kind, instrument, pitch, velocity):
    """The events that begin and end each note, int64 [note] twice, by beginning."""
    sounding = np.flatnonzero((kind == _NOTE_ON) | (kind == _NOTE_OFF))
    key = (instrument[sounding] << 7) | pitch[sounding]
    order = np.argsort(key, kind="stable")
    event, key = sounding[order], key[order]
    is_on = (kind[event] == _NOTE_ON) & (velocity[event] > 0)
    at = tick[event]
    place = np.arange(len(event))
    # The next note-off at or after each event of the same track, channel and pitch.
    off = np.where(is_on, len(event), place)
    off = np.minimum.accumulate(off[::-1])[::-1]
    off = np.where(off < len(event), off, place)
    closed = is_on & ~is_on[off] & (key[off] == key)
    tricky = closed & (at[off] == at)
    begin, end = event[closed & ~tricky], event[off[closed & ~tricky]]
    if tricky.any():
        again = np.isin(key, np.unique(key[tricky]))
        own = closed & ~tricky & ~again
        begin, end = event[own], event[off[own]]
        more = _pairs_one_by_one(tick, event[again], key[again], is_on[again])
        begin, end = np.append(begin, more[0]), np.append(end, more[1])
    order = np.argsort(begin, kind="stable")
    return begin[order], end[order]


def _pairs_one_by_one(tick, events, keys, is_on):
    """The same, event by event, where notes begin and end on one tick."""
    begin, end, still_open = [], [], []
    last_key = None
    for event, key, on in zip(events, keys, is_on, strict=True):
        if key != last_key:
            still_open, last_key = [], key
        if on:
            still_open.append(event)
            continue
        closing = [e for e in still_open if tick[e] != tick[event]]
        begin += closing
        end += [event] * len(closing)
        # A note-off that ends an older note leaves those that begin on its tick; one
        # that finds only such ends them, and they are without length: left out.
        still_open = [e for e in still_open if closing and tick[e] == tick[event]]
    return np.array(begin, np.int64), np.array(end, np.int64)


def _programs(kind, instrument, number, end):
    """uint8 [note]: the program of each note's channel in its track when it ends."""
    changes = np.flatnonzero(kind == _PROGRAM)
    if not len(changes):
        return np.zeros(len(end), np.uint8)
    scale = len(kind) + 1
    keys = instrument[changes] * scale + changes
    order = np.argsort(keys)
    keys, changes = keys[order], changes[order]
    at = np.searchsorted(keys, instrument[end] * scale + end) - 1
    found = (at >= 0) & (instrument[changes[at]] == instrument[end])
    return np.where(found, number[changes[at]], 0).astype(np.uint8)


def _meta(events):
    """Tempi int64 [n, 2] (tick, microseconds a quarter), metres [n, 3], the title."""
    kinds = (_TRACK_NAME, _TEMPO, _TIME_SIGNATURE)
    number = events.buffer[events.data]
    wanted = (events.status == _META) & np.isin(number, kinds)
    tempos, signatures, title = [], [], ""
    for k in np.flatnonzero(wanted):
        tick = int(events.tick[k])
        at = int(events.data[k]) + 1
        size = int(events.buffer[at])
        body = bytes(events.buffer[at + 1 : at + 1 + min(size, 127)])
        if number[k] == _TEMPO and size == 3 and any(body):
            tempos.append((tick, int.from_bytes(body, "big")))
        elif number[k] == _TIME_SIGNATURE and size == 4:
            if body[0] and body[1] <= 7:
                signatures.append((tick, body[0], 2 ** body[1]))
        elif number[k] == _TRACK_NAME and not title and size < 0x80:
            title = body.decode("utf-8", "replace").strip("\0 ")
    tempos = np.array(tempos, np.int64).reshape(-1, 2)
    signatures = np.array(signatures, np.int64).reshape(-1, 3)
    return _by_tick(tempos), _by_tick(signatures), title
