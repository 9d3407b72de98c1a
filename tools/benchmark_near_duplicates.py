"""Measures near-duplicate detection among many pieces that are all different.

    python tools/benchmark_near_duplicates.py --pieces=10000,100000

Pieces are random walks over a scale with chords; each has its own steps, leaps and
metre. For each number of pieces, prints the CPU seconds of the grouping, the peak
memory of the process and the size of the largest group; then the share of versions
(transposed, a part, revoiced) that are found, each of a different piece.
"""

import pathlib
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.data.preparation import fingerprints, near_duplicates

FLAGS = flags.FLAGS
flags.DEFINE_list("pieces", ["1000", "10000"], "Numbers of pieces.")
flags.DEFINE_integer("notes", 300, "Notes per piece.")
flags.DEFINE_integer("versions", 200, "Versions to look for, of each kind.")
flags.DEFINE_integer("seed", 0, "Seed of the pieces.")

_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])
Piece = tuple[np.ndarray, np.ndarray]


def piece(seed: int, notes: int) -> Piece:
    """Onsets (seconds) and pitches of a random piece: a melody above a bass."""
    random = np.random.default_rng(seed)
    times, pitches = [], []
    for low, high, share in ((28, 40, 0.35), (32, 50, 0.65)):
        steps = random.choice(
            np.arange(-4, 5), int(notes * share), p=random.dirichlet(np.ones(9) * 0.7)
        )
        degree = random.integers(low, high) + np.cumsum(steps)
        span = high - low
        degree = low + np.abs((degree - low) % (2 * span) - span)
        times.append(np.cumsum(random.choice([0.25, 0.5, 1.0], len(steps))))
        pitches.append(
            _SCALE[degree % 7] + 12 * (degree // 7) + random.integers(12) - 6
        )
    return np.concatenate(times), np.concatenate(pitches)


def versions(seed: int, notes: int) -> dict[str, Piece]:
    """Versions of a piece, by kind."""
    random = np.random.default_rng(seed)
    seconds, pitch = piece(seed, notes)
    begin = random.uniform(0, seconds.max() * 0.6)
    part = (seconds >= begin) & (seconds < begin + seconds.max() * 0.4)
    octaves = random.choice([-12, 0, 12], len(pitch), p=[0.15, 0.7, 0.15])
    return {
        "transposed": (seconds * 0.8, pitch + 5),
        "part": (seconds[part] * 1.1, pitch[part] - 3),
        "revoiced": (seconds, pitch + octaves),
    }


def grouped(pieces: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """The first piece in the group of each sketch, int64 [piece]."""
    exact = [number.to_bytes(4, "big") for number in range(len(pieces))]
    sketches, totals = zip(*pieces, strict=True)
    return near_duplicates.groups(exact, sketches, np.array(totals))


def main(_: Sequence[str]) -> None:
    """Prints the measurements."""
    sketches: list[tuple[np.ndarray, int]] = []
    for count in sorted(map(int, FLAGS.pieces)):
        begun = time.process_time()
        seeds = range(len(sketches), count)
        sketches += [fingerprints.sketch(*_made(seed)) for seed in seeds]
        made = time.process_time()
        first = grouped(sketches)
        seconds = time.process_time() - made
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{count:>9,} pieces  {seconds:7.1f} s  ({made - begun:.0f} s for "
            f"{len(seeds):,} sketches)  {memory:.2f} GB  largest group "
            f"{np.bincount(first).max()}",
            flush=True,
        )
    kinds = list(versions(0, FLAGS.notes))
    random = np.random.default_rng(FLAGS.seed)
    chosen = random.permutation(count)[: len(kinds) * FLAGS.versions]
    changed = [
        versions(FLAGS.seed + int(k), FLAGS.notes)[kinds[place % len(kinds)]]
        for place, k in enumerate(chosen)
    ]
    first = grouped(sketches + [fingerprints.sketch(*version) for version in changed])
    found = np.equal(first[chosen], first[count:])
    for place, kind in enumerate(kinds):
        print(f"{kind:<11}{found[place :: len(kinds)].mean():7.1%} found")
    print(f"largest group {np.bincount(first).max()}")


def _made(seed: int) -> Piece:
    return piece(FLAGS.seed + seed, FLAGS.notes)


if __name__ == "__main__":
    commands.run(main)
