"""Preparation of data: from files to records, and from records to batches.

The collection is POP909-like: songs of about a thousand notes, made here with a fixed
seed, so that the benchmark needs no download. Peak memory is that of the command and
all its workers together.
"""

import dataclasses
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

import numpy as np

LAKH_FILES = 178_561
LAKH_CORES = 16
_FILES_IN_TURN = 15
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "make_tfrecords.py"


def run(quick=False, archive=None):
    """All figures of the data benchmark; a dict of numbers.

    Args:
        quick: bool. Fewer files.
        archive: path of real music files on which the parse is timed too, or None.
    """
    small, large = (200, 1000) if quick else (1000, 10_000)
    count = 40 if quick else 150
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        songs = make_archive(folder / "songs.zip", small)
        many = make_archive(folder / "many.zip", large)
        figures = workers(folder, many, large)
        memory = {
            n: prepare(folder / f"memory{n}", path, 2)[1]
            for n, path in ((small, songs), (large, many))
        }
        figures[f"peak_memory_mb_{small}_files"] = memory[small]
        figures[f"peak_memory_mb_{large}_files"] = memory[large]
        figures |= parsers(songs, count)
        if archive:
            figures["archive"] = parsers(archive, count)
        figures |= readers(folder / f"memory{small}")
    rate = figures["files_per_second_1_worker"]
    figures["projected_minutes_lakh_16_cores"] = LAKH_FILES / rate / LAKH_CORES / 60
    return figures


def song(seed, notes=1100):
    """The bytes of a MIDI file: melody, chords and bass with velocities."""
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
    now = 0
    for tick, status, first, second in events.tolist():
        delta = tick - now
        body += (
            bytes([0x80 | delta >> 7, delta & 0x7F]) if delta > 127 else bytes([delta])
        )
        body += bytes([status, first, second])
        now = tick
    body += b"\0\xff\x2f\0"
    head = b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(body).to_bytes(4, "big")
    return head + bytes(body)


def make_archive(path, count):
    """A .zip of songs in two folders, so that no file system is measured."""
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(count):
            archive.writestr(f"style {k % 2}/{k:06d}.mid", song(k))
    return path


def workers(folder, archive, count):
    """Files per second with one and two workers, in turn; starts left out."""
    few = make_archive(folder / "few.zip", count // 10)
    rates = {1: [], 2: []}
    for round_ in range(2):
        for number in (1, 2):
            output = folder / f"rate{number}-{round_}"
            # What starting takes is the same for few files and for many.
            start, _ = prepare(folder / f"few{number}-{round_}", few, number)
            seconds, _ = prepare(output, archive, number)
            rates[number].append((count - count // 10) / (seconds - start))
    one, two = (max(rates[n]) for n in (1, 2))
    return {
        "files_per_second_1_worker": one,
        "files_per_second_2_workers": two,
        "speedup_2_workers": two / one,
    }


def prepare(output, archive, num_workers):
    """Runs the command; returns its seconds and its peak memory in MB, workers too."""
    command = [sys.executable, str(TOOL), f"--input={archive}"]
    command += [f"--output_dir={output}", f"--num_workers={num_workers}"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - begun
    watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with code {code}.")
    return seconds, peak[0]


def _watch(process, peak):
    """Keeps the largest sum of proportional memory of a process and its children."""
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(_memory_mb, _family(process.pid))))
        time.sleep(0.2)


def _family(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(int(c) for child in children for c in _family(int(child)))]


def _memory_mb(pid):
    """Memory of a process; pages that several share count in parts."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    lines = (line.split() for line in text.splitlines())
    return sum(int(row[1]) for row in lines if row[0] == "Pss:") / 1024


def parsers(archive, count):
    """The whole path, file to record, with our scan and with note-seq's own reader.

    Processor time, of `count` MIDI files from all over the archive. The ways take turns
    every few files: a worker does one file like the one before, with warm caches, and
    yet whatever disturbs the machine disturbs both.
    """
    sys.path.insert(0, str(ROOT))
    items = _spread(archive, count)
    seconds = {"fast": [], "note_seq": []}
    for name in seconds:
        _to_record(items[0], name)
    for at in range(0, len(items), _FILES_IN_TURN):
        for name, values in seconds.items():
            for item in items[at : at + _FILES_IN_TURN]:
                begun = time.process_time()
                _to_record(item, name)
                values.append(time.process_time() - begun)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "files_timed": len(items),
        "milliseconds_per_file": 1000 * middle["fast"],
        "milliseconds_per_file_note_seq": 1000 * middle["note_seq"],
        "speedup_over_note_seq": middle["note_seq"] / middle["fast"],
    }


def _spread(archive, count):
    """About `count` of the MIDI files of an archive or folder, evenly spread."""
    from poph_tf.data import midi
    from poph_tf.data.preparation import settings, sources

    def all_files():
        for item in sources.walk(settings.Settings(inputs=(str(archive),))):
            if not item.reason and item.source.lower().endswith(midi.MIDI_SUFFIXES):
                yield item

    every = max(1, sum(1 for _ in all_files()) // count)
    chosen = itertools.islice(itertools.islice(all_files(), 0, None, every), count)
    return [
        dataclasses.replace(
            item, data=item.data or pathlib.Path(item.path).read_bytes()
        )
        for item in chosen
    ]


def _to_record(item, parser):
    """From the bytes of a file to the bytes of its record."""
    import note_seq

    from poph_tf.data import examples, matrices, midi_bytes, quantization

    if parser == "fast":
        notes = midi_bytes.parse(item.data, compiled=True)
        placed = quantization.place(notes, compiled=True)
        return examples.encode(placed, style="a", source=item.source, compiled=True)[0]
    piece = matrices.from_sequence(note_seq.midi_to_note_sequence(item.data))
    return examples.serialize(piece, style="a", source=item.source)


def readers(data_dir):
    """Steps per second of the reader, and of training on the same machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from poph_tf import config
    from poph_tf.data import dataset

    info, paths = dataset.open_split(data_dir, "train")
    model = config.preset("poph").with_styles(info)
    training = config.TrainingConfig()
    stream = dataset.Stream(paths, model, training)
    rates = []
    for epoch in range(3):
        begun, steps = time.perf_counter(), 0.0
        for batch in dataset.training_batches(stream, epoch):
            steps += float(tf.reduce_sum(batch["mask"]))
        rates.append(steps / (time.perf_counter() - begun))
    train = _train_steps_per_second(model, dataset.training_batches(stream, 0))
    return {
        "reader_steps_per_second": max(rates),
        "train_steps_per_second": train,
        "reader_over_train": max(rates) / train,
    }


def _train_steps_per_second(model_config, batches):
    import keras
    import tensorflow as tf

    from poph_tf import models
    from poph_tf.training.train_step import TrainStep

    model = models.build(model_config)
    optimizer = keras.optimizers.Nadam(1e-3)
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, tf.distribute.get_strategy())
    batch = max(batches.take(8), key=lambda batch: batch["mask"].shape[1])
    step.run(batch)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        float(step.run(batch)["loss"])
        seconds.append(time.perf_counter() - begun)
    return float(tf.reduce_sum(batch["mask"])) / min(seconds)
