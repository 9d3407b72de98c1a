"""Data preparation: from files to records, and from records to batches.

The collection is like POP909: songs of about a thousand notes, generated with a fixed
seed, so that the benchmark needs no download. Peak memory is for the command and all
its workers together.
"""

import contextlib
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from typing import Any

import numpy as np
import psutil

LAKH_FILES = 178_561
LAKH_CORES = 16
_FILES_IN_TURN = 15
TOOL = pathlib.Path(__file__).resolve().parents[1] / "make_tfrecords.py"


def run(quick: bool = False, archive: str | None = None) -> dict[str, Any]:
    """Runs the data benchmark.

    Args:
        quick: fewer files.
        archive: real music files, to time parsing on them too.
    """
    small, large = (200, 1000) if quick else (1000, 10_000)
    count = 40 if quick else 150
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archives = {n: make_archive(folder / f"{n}.zip", n) for n in (small, large)}
        figures: dict[str, Any] = workers(folder, archives[large], large)
        for n, path in archives.items():
            _, memory = prepare(folder / f"memory{n}", path, 2)
            figures[f"peak_memory_mb_{n}_files"] = memory
        figures |= parsers(archives[small], count)
        if archive:
            figures["archive"] = parsers(pathlib.Path(archive), count)
        figures |= readers(folder / f"memory{small}")
    rate = figures["files_per_second_1_worker"]
    figures["projected_minutes_lakh_16_cores"] = LAKH_FILES / rate / LAKH_CORES / 60
    return figures


def song(seed: int, notes: int = 1100) -> bytes:
    """A MIDI file: melody, chords and bass with velocities."""
    random = np.random.default_rng(seed)
    step = random.integers(0, notes, notes)
    start = np.sort(step) * 120 + random.integers(0, 4)
    length = random.integers(1, 9, notes) * 110
    pitch = random.integers(36, 84, notes)
    velocity = random.integers(30, 110, notes)
    channel = pitch // 16 % 3
    on = np.stack([start, 0x90 | channel, pitch, velocity], 1)
    off = np.stack([start + length, 0x80 | channel, pitch, 0 * pitch], 1)
    events = np.concatenate([on, off])
    events = events[np.argsort(events[:, 0], kind="stable")]
    body = bytearray()
    for delta, row in zip(np.diff(events[:, 0], prepend=0), events, strict=True):
        high, low = divmod(int(delta), 128)
        body += bytes([0x80 | high, low] if high else [low]) + bytes(row[1:].tolist())
    body += b"\0\xff\x2f\0"
    head = b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(body).to_bytes(4, "big")
    return head + bytes(body)


def make_archive(path: pathlib.Path, count: int) -> pathlib.Path:
    """A .zip of songs in two folders, so that the file system is not measured."""
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(count):
            archive.writestr(f"style {k % 2}/{k:06d}.mid", song(k))
    return path


def workers(
    folder: pathlib.Path, archive: pathlib.Path, count: int
) -> dict[str, float]:
    """Files per second with one and two workers, in turn, without startup time."""
    few = make_archive(folder / "few.zip", count // 10)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn, number in itertools.product(range(2), rates):
        # Startup takes as long for few files as for many.
        start, _ = prepare(folder / f"few{number}-{turn}", few, number)
        seconds, _ = prepare(folder / f"rate{number}-{turn}", archive, number)
        rates[number].append((count - count // 10) / (seconds - start))
    one, two = max(rates[1]), max(rates[2])
    return {
        "files_per_second_1_worker": one,
        "files_per_second_2_workers": two,
        "speedup_2_workers": two / one,
    }


def prepare(
    output: pathlib.Path, archive: pathlib.Path, num_workers: int
) -> tuple[float, float]:
    """Runs the command; returns its seconds and peak memory in MB, with workers."""
    command = [sys.executable, str(TOOL), f"--input={archive}"]
    command += [f"--output_dir={output}", f"--num_workers={num_workers}"]
    begun, peak, code = time.perf_counter(), 0, None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = psutil.Popen(command, **quiet)
    while code is None:
        with contextlib.suppress(psutil.Error):
            family = [process, *process.children(recursive=True)]
            # Memory pages that several processes share count proportionally.
            peak = max(peak, sum(p.memory_full_info().pss for p in family))
        with contextlib.suppress(psutil.TimeoutExpired):
            code = process.wait(0.2)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with code {code}.")
    return time.perf_counter() - begun, peak / 2**20


def parsers(archive: pathlib.Path, count: int) -> dict[str, float]:
    """CPU time from file to record, with our scan and with note-seq's own reader.

    Takes `count` MIDI files from all over the archive. The readers take turns every few
    files, so that caches are warm, as in a worker, but other load affects both.
    """
    items = _spread(archive, count)
    seconds: dict[str, list[float]] = {"fast": [], "note_seq": []}
    for name in seconds:
        _to_record(*items[0], name)
    for at in range(0, len(items), _FILES_IN_TURN):
        for name, values in seconds.items():
            for source, data in items[at : at + _FILES_IN_TURN]:
                begun = time.process_time()
                _to_record(source, data, name)
                values.append(time.process_time() - begun)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "files_timed": len(items),
        "milliseconds_per_file": 1000 * middle["fast"],
        "milliseconds_per_file_note_seq": 1000 * middle["note_seq"],
        "speedup_over_note_seq": middle["note_seq"] / middle["fast"],
    }


def _spread(archive: pathlib.Path, count: int) -> list[tuple[str, bytes]]:
    """Name and content of `count` MIDI files of an archive or folder, evenly spread."""
    from poph_tf.config import DataConfig
    from poph_tf.data import reading
    from poph_tf.data.preparation import sources

    def midi_files() -> Any:
        for item in sources.walk(DataConfig(input=(str(archive),))):
            if not item.reason and item.source.lower().endswith(reading.MIDI_SUFFIXES):
                yield item

    every = max(1, sum(1 for _ in midi_files()) // count)
    chosen = itertools.islice(midi_files(), 0, every * count, every)
    return [
        (item.source, item.path.read_bytes() if item.path else item.data)
        for item in chosen
    ]


def _to_record(source: str, data: bytes, reader: str) -> bytes:
    """Converts the content of a file to its record."""
    import note_seq

    from poph_tf.data import examples, matrices, midi_bytes, quantization

    if reader == "fast":
        notes = midi_bytes.parse(data, source, compiled=True)
        piece = quantization.quantize(notes, compiled=True)
        return examples.encode(piece, style="a", source=source, compiled=True)[0]
    made = matrices.from_sequence(note_seq.midi_to_note_sequence(data))
    return examples.serialize(made, style="a", source=source)


def readers(data_dir: pathlib.Path) -> dict[str, float]:
    """Steps per second of the reader, and of training on the same machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks.train import step_seconds
    from poph_tf import config, models
    from poph_tf.data import dataset

    info, paths = dataset.open_split(data_dir, "train")
    model = config.preset("poph").with_data(info)
    stream = dataset.Stream(paths, model, config.TrainingConfig())
    rates = []
    for epoch in range(3):
        begun = time.perf_counter()
        masks = [batch["mask"] for batch in dataset.training_batches(stream, epoch)]
        seconds = time.perf_counter() - begun
        rates.append(sum(float(mask.numpy().sum()) for mask in masks) / seconds)
    batches = dataset.training_batches(stream, 0).take(8)
    batch = max(batches, key=lambda batch: batch["mask"].shape[1])
    seconds, _ = step_seconds(models.build(model), batch, repetitions=3, slices=1)
    train = float(batch["mask"].numpy().sum()) / seconds
    return {
        "reader_steps_per_second": max(rates),
        "train_steps_per_second": train,
        "reader_over_train": max(rates) / train,
    }
