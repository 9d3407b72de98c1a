"""Damages MIDI files at random: each must become a record or a reason.

A longer run than that of the tests:

    python tests/midi_fuzz.py --cases=1000000
"""

import argparse
import json
import pathlib
import resource
import sys
import time

import numpy as np

from poph_tf.config import DataConfig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import smf
from collections_of_songs import song

from poph_tf.data import examples, midi_bytes, shards
from poph_tf.data.preparation import conversion, sources

FAR = 2**28 - 1


def seeds():
    """Files to start from: simple ones, and one with all kinds of events."""
    mixed = smf.file(
        [smf.metre(0, 4, 2), smf.tempo(0, 1), smf.tempo(99, 2**24 - 1)],
        [
            (0, 0xFF, 0x03, 4, *b"name"),
            (0, 0xF0, 3, 1, 2, 0xF7),
            (0, 0xC0, 5),
            (0, 0xB0, 64, 127),
            smf.on(0, 60),
            (5, 0xE0, 1, 2),
            (6, 0xA0, 60, 3),
            (7, 0xD0, 9),
            smf.off(480, 60),
            smf.on(FAR, 61),
            smf.off(FAR, 61),
        ],
        [smf.on(0, 36, 99, 9), smf.off(30, 36, 9)],
    )
    return [song(0), song(1, notes=3), mixed, smf.file([]), smf.file()]


def damaged(random, data, kinds=9):
    """One file, damaged: bits (kind 0), bytes (1), ends, lengths, times, order."""
    data = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        if not data:
            break
        at = int(random.integers(0, len(data)))
        # Often a bit only: most such files can still be read.
        what = int(random.integers(0, kinds)) if random.random() < 0.5 else 0
        if what == 0:
            data[at] ^= 1 << int(random.integers(0, 8))
        elif what == 1:
            data[at] = int(random.integers(0, 256))
        elif what == 2:
            del data[at:]
        elif what == 3:
            del data[at : at + int(random.integers(1, 9))]
        elif what == 4:
            data[at:at] = random.bytes(int(random.integers(1, 9)))
        elif what == 5:
            data[at:at] = b"\xff\xff\xff\x7f"
        elif what == 6:
            data[at : at + 4] = random.bytes(4)
        elif what == 7:
            data[at:at] = data[at : at + int(random.integers(1, 40))] * 3
        else:
            chunk = data[int(random.integers(0, len(data))) :][:30]
            data[at : at + len(chunk)] = chunk
    return bytes(data)


def noise(random):
    """A valid file with a track of random bytes."""
    body = random.bytes(int(random.integers(0, 400)))
    head = b"MThd" + (6).to_bytes(4, "big") + b"\0\1\0\1\1\xe0"
    return head + b"MTrk" + len(body).to_bytes(4, "big") + body


def absurd():
    """Functions that make files with extreme numbers of something."""
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


def check_record(data, limits):
    """Reads a record back, which must hold canonical matrices."""
    import gzip

    from poph_tf.data import matrices

    item = sources.Item("a.mid", "s", data=data)
    (converted,) = conversion.convert(item, limits)
    framed = gzip.decompress(converted.record)
    body = framed[shards.HEADER_BYTES : -shards.FOOTER_BYTES]
    matrices.validate(examples.deserialize(body).matrices)


def run(cases, seed=0, *, compiled=True):
    """Tries so many cases.

    Returns:
        dict: counts by reason (None: a record), the slowest case in seconds, the
        peak memory of the process in MB.
    """
    random = np.random.default_rng(seed)
    limits = DataConfig(input=("x",))
    starts = seeds()
    if compiled:
        midi_bytes.parse(starts[0], compiled=True)
    counts, slowest = {}, 0.0
    for number in range(cases):
        data = noise(random) if number % 8 == 7 else starts[number % len(starts)]
        data = damaged(random, data) if number >= len(starts) else data
        begun = time.perf_counter()
        reason = judge(data, limits)
        slowest = max(slowest, time.perf_counter() - begun)
        counts[reason] = counts.get(reason, 0) + 1
        if reason is None and number % 50 == 0:
            check_record(data, limits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cases": counts, "slowest_seconds": slowest, "peak_memory_mb": peak}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = run(arguments.cases, arguments.seed)
    result["cases"] = {str(k): v for k, v in result["cases"].items()}
    print(json.dumps(result, indent=2))
