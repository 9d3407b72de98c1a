"""Absurd MIDI files; every file must give a record or a reason."""

import sys

import smf
from collections_of_songs import ROOT

from poph_tf.data.preparation import conversion, sources

sys.path.insert(0, str(ROOT / "tools"))
import fuzz_readers as fuzz_readers  # the tool, for its tests

FAR = 2**28 - 1


def absurd():
    """Returns functions, by name, that make files with something extreme."""
    head = b"MThd" + (6).to_bytes(4, "big") + b"\0\1" + b"\xff\xff" + b"\1\xe0"
    far = [smf.on(30_000, 60), smf.off(FAR, 60)]
    keys = [(pitch, channel) for channel in range(9) for pitch in range(128)]
    return {
        "as many tracks as there can be": lambda: head + b"MTrk\0\0\0\0" * 65_535,
        "a track without end": lambda: head + b"MTrk\xff\xff\xff\xff",
        "fifty times the longest time": lambda: smf.file(
            [smf.on(k * FAR, 60) for k in range(50)]
        ),
        "a year of quarters": lambda: smf.file(far, ticks_per_quarter=1),
        "the longest time": lambda: smf.file(far, ticks_per_quarter=32767),
        "a metre on every tick": lambda: smf.file(
            [*(smf.metre(k, 1, 7) for k in range(30_000)), *far]
        ),
        "a tempo on every tick": lambda: smf.file(
            [*(smf.tempo(k, 1 + k % 2) for k in range(30_000)), *far]
        ),
        "notes that never end": lambda: smf.file(
            [*(smf.on(0, k % 128) for k in range(300_000)), smf.off(1, 5)]
        ),
        "all keys all the time": lambda: smf.file(
            [smf.on(0, p, 64, c) for p, c in keys]
            + [smf.off(4_700_000, p, c) for p, c in keys]
        ),
    }


def judge(data, limits):
    """Converts a file; returns the reason why there is no record, or None."""
    item = sources.Item("a.mid", "s", data=data)
    (converted,) = conversion.convert(item, limits)
    if converted.record is None:
        assert converted.reason and len(converted.reason) < 100, converted
        assert "a.mid" not in converted.reason
        return converted.reason
    assert converted.reason is None
    assert converted.statistics["notes"] > 0
    return None
