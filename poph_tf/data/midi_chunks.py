"""Finds the tracks of a Standard MIDI File, whatever surrounds them.

Files in the wild contradict their own headers. Like most players, this reads every
track chunk that is there, whatever number the header gives; if the length of a chunk
leads to neither another chunk nor the end of the file, the track ends at the next
chunk. Repairs are counted by kind.

Source: Standard MIDI Files 1.0; RIFF (.rmi) and MacBinary put bytes before the header.
"""

import collections
import dataclasses
import struct

from poph_tf.errors import MusicFileError

TRACK = b"MTrk"
_HEADER = b"MThd"
END_OF_TRACK = b"\xff\x2f\x00"
# RIFF and MacBinary's header of 128 bytes leave the MIDI header close to the start.
_MOST_BYTES_BEFORE = 1024
# SMPTE time: frames per second; 29 stands for the 29.97 of NTSC.
_FRAME_RATES = {24: 24.0, 25: 25.0, 29: 30_000 / 1001, 30: 30.0}


@dataclasses.dataclass
class Chunks:
    """The tracks of a MIDI file.

    Attributes:
        ticks_per_quarter: ticks in a quarter note; 0 in files with SMPTE time.
        ticks_per_second: ticks in a second if the file has SMPTE time, else 0.
        in_sequence: tracks follow one another (format 2) instead of sounding together.
        bounds: first byte and end of each track's events.
        repairs: how often each kind of damage was repaired.
    """

    ticks_per_quarter: int
    ticks_per_second: float
    in_sequence: bool
    bounds: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    repairs: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )


def find(data: bytes, name: str) -> Chunks:
    """Finds the tracks of a MIDI file.

    Raises:
        MusicFileError: If this is not a MIDI file, or cannot be read.
    """
    start = data.find(_HEADER, 0, _MOST_BYTES_BEFORE)
    if start < 0:
        raise MusicFileError(name, "not a MIDI file (it does not begin with MThd)")
    if len(data) < start + 14:
        raise MusicFileError(name, "truncated: the header is cut off")
    size, kind, declared, division = struct.unpack_from(">IHHH", data, start + 4)
    if size < 6:
        raise MusicFileError(name, "the header is shorter than 6 bytes")
    if kind > 2:
        raise MusicFileError(name, "unknown MIDI format")
    chunks = Chunks(*_time(division, name), in_sequence=kind == 2)
    if start and data[:4] != b"RIFF":
        chunks.repairs["bytes before the header"] += 1
    if chunks.ticks_per_second:
        chunks.repairs["SMPTE time instead of quarter notes"] += 1
    if chunks.in_sequence:
        chunks.repairs["format 2: its tracks follow one another"] += 1
    _find_tracks(data, _next_chunk(data, start + 14, start + 8 + size), chunks)
    if not chunks.bounds:
        raise MusicFileError(name, "no tracks")
    if len(chunks.bounds) != declared:
        chunks.repairs["another number of tracks than the header says"] += 1
    return chunks


def _time(division: int, name: str) -> tuple[int, float]:
    """Ticks per quarter note and ticks per second, one of them 0."""
    if 0 < division < 0x8000:
        return division, 0.0
    frames, ticks = 0x100 - (division >> 8), division & 0xFF
    if division and ticks and frames in _FRAME_RATES:
        return 0, _FRAME_RATES[frames] * ticks
    raise MusicFileError(name, "no ticks per quarter note (0, or unknown SMPTE time)")


def _find_tracks(data: bytes, at: int, chunks: Chunks) -> None:
    """Fills the bounds with the tracks from the chunk at `at` on."""
    while at + 8 <= len(data):
        start = at + 8
        end = start + int.from_bytes(data[at + 4 : start])
        if data[at : at + 4] == TRACK:
            if not _is_end(data, start, end):
                chunks.repairs["wrong length of a track"] += 1
                end = _next_chunk(data, start)
            chunks.bounds.append((start, end))
        at = _next_chunk(data, at + 4, end)


def _is_end(data: bytes, start: int, end: int) -> bool:
    """Whether a track may end there: nothing or a chunk follows, or it says so."""
    if end > len(data):
        return False
    follows = end == len(data) or data[end : end + 4] == TRACK
    return follows or data[max(start, end - 3) : end] == END_OF_TRACK


def _next_chunk(data: bytes, start: int, expected: int | None = None) -> int:
    """Where a chunk begins: as expected, else at the next track from `start` on."""
    if expected == len(data):
        return expected
    if expected is not None and data[expected : expected + 4].isalpha():
        return expected
    found = data.find(TRACK, start)
    return found if found >= 0 else len(data)
