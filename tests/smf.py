"""Makes the bytes of MIDI files for tests, event by event."""

import struct


def number(value):
    """Encodes a variable-length number."""
    assert value >= 0, "events must be in order"
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def track(events):
    """Makes a track chunk of (tick, *bytes) in order of ticks."""
    parts, now = [], 0
    for tick, *message in events:
        parts += [number(tick - now), bytes(message)]
        now = tick
    body = b"".join(parts) + number(0) + b"\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(body)) + body


def file(*tracks, ticks_per_quarter=480, kind=1):
    """Makes a MIDI file of tracks, each a list of (tick, *bytes)."""
    head = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), ticks_per_quarter)
    return head + b"".join(track(t) for t in tracks)


def on(tick, pitch, velocity=64, channel=0):
    return (tick, 0x90 | channel, pitch, velocity)


def off(tick, pitch, channel=0):
    return (tick, 0x80 | channel, pitch, 0)


def tempo(tick, microseconds):
    return (tick, 0xFF, 0x51, 3, *microseconds.to_bytes(3, "big"))


def metre(tick, numerator, power):
    return (tick, 0xFF, 0x58, 4, numerator, power, 24, 8)
