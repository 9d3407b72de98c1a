"""Damages music files at random: each must give a record or a reason.

    python tools/fuzz_readers.py --format=midi --count=50000 --seed=1 --log=fuzz.jsonl
    python tools/fuzz_readers.py --format=musicxml --input=scores/ --count=5000

Starts from small built-in files, or from those of --input. A case that raises an error,
takes more CPU time than --seconds or needs more memory than --memory_mb goes to the
log, one JSON object per line with the damaged bytes, and makes the exit code 1. Prints
one JSON object: counts by reason, the slowest case, the peak memory.
"""

import collections
import contextlib
import json
import pathlib
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.config import DataConfig
from poph_tf.data.preparation import conversion, sources
from poph_tf.errors import InputError

FORMATS = {
    "midi": ".mid",
    "musicxml": ".musicxml",
    "abc": ".abc",
    "mei": ".mei",
    "krn": ".krn",
}
FLAGS = flags.FLAGS
_CHUNK = b"MTrk"
_ODD_NUMBERS = (b"0", b"-1", b"999999999", b"1/0", b"1.5", b"x")
_ABC = """X:1
T:One
M:3/4
L:1/8
Q:1/4=90
K:G
V:1
|:GABc z2|(3GAB G2-G2|1 {g}[B2d2]>c2 A2:|2 "D7"^c4 _e2|]
X:2
M:C|
K:Am
A,2B,2 ^G2A/B/c|E8|
"""
_XML = """<?xml version="1.0"?><score-partwise version="3.1"><part-list>
<score-part id="P1"><part-name>A</part-name></score-part></part-list><part id="P1">
<measure number="1" implicit="yes"><attributes><divisions>6</divisions>
<key><fifths>-2</fifths></key><time><beats>2</beats><beat-type>4</beat-type></time>
<transpose><chromatic>-2</chromatic></transpose></attributes>
<direction><sound tempo="90"/></direction>
<barline><repeat direction="forward"/></barline>
<note><grace/><pitch><step>D</step><octave>5</octave></pitch></note>
<note><pitch><step>C</step><alter>1</alter><octave>4</octave></pitch><duration>4</duration>
<voice>1</voice></note><note><chord/><pitch><step>E</step><octave>4</octave></pitch>
<duration>4</duration></note><backup><duration>2</duration></backup><note><rest/>
<duration>2</duration></note></measure><measure number="2"><note><pitch><step>G</step>
<octave>4</octave></pitch><duration>12</duration><tie type="start"/></note><barline>
<ending number="1" type="stop"/><repeat direction="backward"/></barline></measure>
</part></score-partwise>"""
_MEI = """<?xml version="1.0"?><mei xmlns="http://www.music-encoding.org/ns/mei"><music>
<body><mdiv><score><scoreDef meter.count="3" meter.unit="4" key.sig="1f"><staffGrp>
<staffDef n="1" lines="5" clef.shape="G" clef.line="2"/></staffGrp></scoreDef><section>
<measure n="1"><staff n="1"><layer n="1"><note pname="c" oct="4" dur="4"/>
<chord dur="4"><note pname="e" oct="4"/><note pname="g" oct="4" accid="s"/></chord>
<rest dur="4"/></layer></staff></measure>
<measure n="2" right="rptend"><staff n="1"><layer n="1">
<note pname="d" oct="5" dur="2" dots="1" tie="i"/></layer></staff></measure></section>
</score></mdiv></body></music></mei>"""
_KRN = """**kern\t**kern
*clefF4\t*clefG2
*k[b-]\t*k[b-]
*M3/4\t*M3/4
*MM90\t*MM90
4C\t8cc#L
.\t8dd-J
4E- 4G\t4r
4.F\t[4a
=2\t=2
8F\t8a]
2C\t4.b-
*-\t*-
"""


def _midi_seeds() -> list[bytes]:
    """A song with all kinds of events, in files that declare two, one and no tracks."""
    events = [
        "00ff0304 6e616d65 00f003 0102f7 00ff5103 07a120 00ff5804 04021808 00c005",
        "00b0407f 00903c40 00f8 05e00102 06a03c03 07d009 8360803c00 00903c40 103c00",
        "00992463 1e892400 00904040 00b07b00 00ff2f00",
    ]
    body = bytes.fromhex("".join(events).replace(" ", ""))
    head = b"MThd\0\0\0\6\0\1\0\2\1\xe0"
    track = _CHUNK + len(body).to_bytes(4) + body
    return [head + track * 2, head[:11] + b"\1\1\xe0" + track, head[:11] + b"\0\1\xe0"]


def seeds(kind: str, folder: str = "") -> list[bytes]:
    """Files to start from.

    Raises:
        InputError: If the folder has no files of the format.
    """
    if folder:
        paths = sorted(pathlib.Path(folder).rglob(f"*{FORMATS[kind]}"))
        if not paths:
            raise InputError(f"{folder} holds no files *{FORMATS[kind]}.")
        return [path.read_bytes() for path in paths]
    texts = {"musicxml": _XML, "abc": _ABC, "mei": _MEI, "krn": _KRN}
    return [texts[kind].encode()] if kind in texts else _midi_seeds()


def damaged(random: np.random.Generator, data: bytes) -> bytes:
    """Damages a file: bits (kind 0), bytes (1), ends, lengths, times, order."""
    made = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        if not made:
            break
        at, size = int(random.integers(0, len(made))), int(random.integers(1, 9))
        # Often only a bit: most such files can still be read.
        what = int(random.integers(0, 9)) if random.random() < 0.5 else 0
        if what == 0:
            made[at] ^= 1 << int(random.integers(0, 8))
        elif what == 1:
            made[at] = int(random.integers(0, 256))
        elif what == 2:
            del made[at:]
        elif what == 3:
            del made[at : at + size]
        elif what == 4:
            made[at:at] = random.bytes(size)
        elif what == 5:
            made[at:at] = b"\xff\xff\xff\x7f"
        elif what == 6:
            made[at : at + 4] = random.bytes(4)
        elif what == 7:
            made[at:at] = made[at : at + 5 * size] * 3
        else:
            chunk = made[int(random.integers(0, len(made))) :][:30]
            made[at : at + len(chunk)] = chunk
    return bytes(made)


def reworded(random: np.random.Generator, data: bytes) -> bytes:
    """Changes numbers and words of a text, so that the markup can still be parsed."""
    changes = []
    words = list(re.finditer(rb"-?\d+|[A-Za-z]+", data))
    for word in random.permutation(len(words))[: random.integers(1, 5)]:
        start, end = words[word].span()
        other = words[int(random.integers(0, len(words)))][0]
        odd = _ODD_NUMBERS[int(random.integers(0, len(_ODD_NUMBERS)))]
        new = odd if words[word][0].strip(b"-").isdigit() else other
        changes.append((start, end, new))
    for start, end, new in sorted(changes, reverse=True):
        data = data[:start] + new + data[end:]
    return data


def judge(data: bytes, name: str, limits: DataConfig) -> str | None:
    """Converts a file; returns the reason for rejecting it, or None."""
    reasons = [
        c.reason for c in conversion.convert(sources.Item(name, "s", data=data), limits)
    ]
    return next((reason for reason in reasons if reason), None)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Limits CPU time, so that other busy programs do not count against a file."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(
    kind: str, count: int, seed: int = 0, *, folder: str = "", seconds: float = 10.0,
    memory_mb: float = 1024.0,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:  # fmt: skip
    """Tries `count` damaged files.

    Returns:
        counts by reason ("": a record), the slowest case, the peak memory;
        the failures: number of the case, the problem, the bytes in hexadecimal.
    """
    random, starts = np.random.default_rng(seed), seeds(kind, folder)
    limits, name = DataConfig(input=("x",)), f"a{FORMATS[kind]}"
    judge(starts[0], name, limits)
    counts: collections.Counter[str] = collections.Counter()
    failures, slowest, least = [], 0.0, _peak_mb()
    for number in range(count):
        is_text = kind != "midi" and random.random() < 0.5
        data = (reworded if is_text else damaged)(random, starts[number % len(starts)])
        begun, peak, problem = time.process_time(), _peak_mb(), ""
        try:
            with _limit(seconds):
                counts[judge(data, name, limits) or ""] += 1
        except Exception as error:  # Any exception is a failure.
            problem = f"{type(error).__name__}: {error}"
        slowest = max(slowest, time.process_time() - begun)
        if _peak_mb() > max(peak, least + memory_mb):
            problem = problem or f"needed {_peak_mb() - least:.0f} MB"
        if problem:
            failures.append({"case": number, "problem": problem, "hex": data.hex()})
    result = {"cases": count, "failures": len(failures), "slowest_seconds": slowest}
    more = {"peak_memory_mb": _peak_mb(), "memory_before_mb": least}
    return {**result, **more, "reasons": dict(counts.most_common())}, failures


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(_: Sequence[str]) -> None:
    """Runs, prints the result and writes the log."""
    limits = {"seconds": FLAGS.seconds, "memory_mb": FLAGS.memory_mb}
    result, failures = run(
        FLAGS.format, FLAGS.count, FLAGS.seed, folder=FLAGS.input, **limits
    )
    print(json.dumps(result, indent=2))
    if FLAGS.log:
        lines = [json.dumps(row) + "\n" for row in [result, *failures]]
        pathlib.Path(FLAGS.log).write_text("".join(lines), "utf-8")
    if failures:
        raise InputError(f"{len(failures)} failures; the first: {failures[0]}")


if __name__ == "__main__":
    flags.DEFINE_enum("format", "midi", list(FORMATS), "Which reader to test.")
    flags.DEFINE_integer("count", 50_000, "Damaged files to try.")
    flags.DEFINE_integer("seed", 1, "Seed of the damage.")
    flags.DEFINE_string("input", "", "A folder of files to start from.")
    flags.DEFINE_string("log", "", "A file for the result and the failures.")
    flags.DEFINE_float("seconds", 10.0, "CPU time limit per file.")
    flags.DEFINE_float("memory_mb", 1024.0, "Memory limit per file.")
    commands.run(main)
