"""Writes MIDI files with graph ops, so that a plain HTTP client can save and play them.

For a model without tracks, a file has one track (format 0): tempo, 4/4, program, then
the notes. For a model with tracks, it has a track with the tempo and 4/4, then one for
each of the model's tracks, with its name, channel and program (format 1).

Bytes are looked up in a table of the 256 one-byte strings and joined, which keeps NULs.
The last entry of the table, an empty string, stands for the unused bytes of a
variable-length quantity.

Source: Standard MIDI Files 1.0 (MIDI Manufacturers Association, 1996).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from poph_tf.config import Track

TICKS_PER_QUARTER = 480
STEPS_PER_QUARTER = 4
TICKS_PER_STEP = TICKS_PER_QUARTER // STEPS_PER_QUARTER
NOTE_OFF, NOTE_ON = 0x80, 0x90
OFF_VELOCITY = 64
END_OF_TRACK = (0xFF, 0x2F, 0x00)
_ABSENT = 256
_BYTES = [bytes([value]) for value in range(256)] + [b""]
_TEMPO = b"\x00\xff\x51\x03"
_TRACK_NAME = b"\x00\xff\x03"
_FOUR_FOUR = b"\x00\xff\x58\x04\x04\x02\x18\x08"
PROGRAM, DRUM_CHANNEL = 0xC0, 9
MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]


def write(
    cells: tf.Tensor,
    length: tf.Tensor,
    tempo_qpm: tf.Tensor,
    min_pitch: int,
    tracks: Sequence[Track] = (),
) -> tf.Tensor:
    """Writes each piece of a batch as a MIDI file.

    Args:
        cells: uint8 [batch, time, (track,) pitch, channel], canonical, with zeros after
            a piece's end.
        length: int32 [batch]. Steps of each piece.
        tempo_qpm: float32 [batch].
        min_pitch: MIDI number of the first pitch.
        tracks: the model's tracks; none for a piano.

    Returns:
        string [batch].
    """
    cells = cells if tracks else cells[:, :, None]
    # One piece at a time: the strings of a whole batch would need gigabytes.
    return tf.map_fn(
        lambda piece: _write_piece(piece[0], piece[1], piece[2], min_pitch, tracks),
        (cells, length, tempo_qpm),
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec([], tf.string),
    )


def _channels(tracks: Sequence[Track]) -> list[int]:
    places = (k % len(MELODIC_CHANNELS) for k in range(len(tracks)))
    return [
        DRUM_CHANNEL if track.is_drum else MELODIC_CHANNELS[place]
        for track, place in zip(tracks, places, strict=True)
    ]


def _write_piece(
    cells: tf.Tensor,
    length: tf.Tensor,
    tempo_qpm: tf.Tensor,
    min_pitch: int,
    tracks: Sequence[Track],
) -> tf.Tensor:
    """One file, string []; cells are uint8 [time, track, pitch, channel]."""
    microseconds = tf.cast(tf.round(60e6 / tempo_qpm), tf.int32)
    head = tf.strings.join([_TEMPO, big_endian(microseconds, 3), _FOUR_FOUR])
    heads: list[Any] = [tf.strings.join([head, bytes([0, PROGRAM, 0])])]
    if tracks:
        heads = [_named(*part) for part in zip(tracks, _channels(tracks), strict=True)]
    bodies = [
        tf.strings.join([start, _body(cells[:, k], length, min_pitch, channel)])
        for k, (start, channel) in enumerate(
            zip(heads, _channels(tracks) or [0], strict=True)
        )
    ]
    if tracks:
        bodies.insert(0, tf.strings.join([head, b"\0" + bytes(END_OF_TRACK)]))
    chunks = [b"MThd", (6).to_bytes(4), (len(tracks) > 0).to_bytes(2)]
    chunks += [len(bodies).to_bytes(2), TICKS_PER_QUARTER.to_bytes(2)]
    for body in bodies:
        chunks += [b"MTrk", big_endian(tf.strings.length(body), 4), body]
    return tf.strings.join(chunks)


def _named(track: Track, channel: int) -> bytes:
    """The opening events of a track: its name (at most 127 bytes) and program."""
    name = track.name.encode()[:127]
    return (
        _TRACK_NAME
        + bytes([len(name)])
        + name
        + bytes([0, PROGRAM + channel, track.program])
    )


def _body(
    cells: tf.Tensor, length: tf.Tensor, min_pitch: int, channel: int
) -> tf.Tensor:
    """The notes and the end event of a track, string [].

    Args:
        cells: uint8 [time, pitch, channel of a cell].
        length: length in steps.
        min_pitch: MIDI number of the first pitch.
        channel: MIDI channel.
    """
    steps, events = _events(cells, length, min_pitch, channel)
    deltas = (steps - tf.concat([[0], steps[:-1]], axis=0)) * TICKS_PER_STEP
    numbers = tf.concat([variable_length(deltas), events], axis=1)
    return tf.strings.reduce_join(tf.gather(tf.constant(_BYTES), numbers))


def _events(
    cells: tf.Tensor, length: tf.Tensor, min_pitch: int, channel: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Note ends, note starts and the end of the track, in time order.

    Returns:
        Steps int32 [event], and bytes int32 [event, 3].
    """
    num_pitches = cells.shape[1]
    cells = tf.concat([cells, tf.zeros_like(cells[:1])], axis=0)
    play, replay = cells[..., 0] > 0, cells[..., 1] > 0
    before = tf.concat([tf.zeros_like(play[:1]), play[:-1]], axis=0)
    ends, starts = before & (~play | replay), play & (~before | replay)
    last = tf.range(tf.shape(play)[0])[:, None] == length
    # Within a step, notes end before others start; a repeated pitch does both.
    found = tf.where(tf.concat([ends, starts, last], axis=1))
    steps, columns = tf.unstack(tf.cast(found, tf.int32), axis=1)
    pitches = range(min_pitch, min_pitch + num_pitches)
    table = [(NOTE_OFF + channel, pitch, OFF_VELOCITY) for pitch in pitches]
    table += [(NOTE_ON + channel, pitch, 0) for pitch in pitches]
    table.append(END_OF_TRACK)
    events = tf.gather(tf.constant(table), columns)
    starting = (columns >= num_pitches) & (columns < 2 * num_pitches)
    pitch = tf.where(starting, columns - num_pitches, 0)
    volume = tf.gather_nd(cells[..., 2], tf.stack([steps, pitch], axis=1))
    third = tf.where(starting, tf.cast(volume, tf.int32), events[:, 2])
    return steps, tf.concat([events[:, :2], third[:, None]], axis=1)


def variable_length(values: tf.Tensor) -> tf.Tensor:
    """Variable-length quantities: 7 bits per byte, the high bit on all but the last.

    Args:
        values: int32 [event], 0 to 2**28 - 1.

    Returns:
        int32 [event, 4] of byte values; `_ABSENT` for unused leading bytes.
    """
    shifted = tf.bitwise.right_shift(values[:, None], tf.constant([[21, 14, 7, 0]]))
    digits = shifted % 128 + tf.constant([[128, 128, 128, 0]])
    needed = (shifted > 0) | tf.constant([[False, False, False, True]])
    return tf.where(needed, digits, _ABSENT)


def big_endian(value: tf.Tensor, num_bytes: int) -> tf.Tensor:
    """An int32 scalar as a string of `num_bytes` bytes."""
    shifts = tf.range(8 * (num_bytes - 1), -1, -8)
    digits = tf.bitwise.right_shift(value, shifts) % 256
    return tf.strings.reduce_join(tf.gather(tf.constant(_BYTES), digits))
