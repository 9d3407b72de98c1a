"""Small collections of MIDI files for the tests of data preparation."""

import pathlib

import numpy as np
import smf

from poph_tf.config import DataConfig, ExecutionOptions
from poph_tf.data.preparation import pipeline, sources

ROOT = pathlib.Path(__file__).resolve().parents[1]


def walked(*paths, **options):
    return list(sources.walk(settings(*paths, **options)))


def reasons(*paths, **options):
    return {item.source: item.reason for item in walked(*paths, **options)}


def song(seed, *, notes=24, shift=0, microseconds=500_000, offset=0):
    """Returns the bytes of a MIDI file; each seed gives different music."""
    random = np.random.default_rng(seed)
    events = []
    for k in range(notes):
        start = 120 * int(random.integers(0, 4)) + 240 * k + offset
        pitch = int(random.integers(40, 80))
        length = 120 * int(random.integers(1, 6))
        events.append((start, smf.on(start, pitch + shift, 30 + k)))
        events.append((start + length, smf.off(start + length, pitch + shift)))
    events.sort(key=lambda row: row[0])
    head = smf.tempo(0, microseconds)
    return smf.file([head, *(event for _, event in events)], kind=0)


def write(folder, count, *, styles=("bach", "jazz"), first=0):
    """Writes `count` songs, a subfolder per style; returns the folder."""
    for k in range(first, first + count):
        path = folder / styles[k % len(styles)] / f"song {k:03d}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(song(k))
    return folder


def shards(folder):
    """Returns the bytes of all shards of a data set, by name."""
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.tfrecord.gz"))}


def settings(*paths, **options):
    return DataConfig(input=tuple(map(str, paths)), **options)


def shares(train, valid, test):
    """Returns the settings for the size of each split."""
    return {
        "train_fraction": train,
        "valid_fraction": valid,
        "test_fraction": test,
    }


def prepared(root, output, **options):
    return pipeline.prepare(settings(root, **options), output, ExecutionOptions())
