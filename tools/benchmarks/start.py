"""Startup: the time from the command to the .mid file.

A fresh process composes 8 bars with the default model, each time with another seed;
alternating with it, a fresh process only imports TensorFlow.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUM_BARS = 8
LEAN = ("--num_pieces=1", "--nopng", "--nowav", "--nopage")


def run(quick: bool = False) -> dict[str, Any]:
    """Medians over several rounds, in seconds, and the peak memory."""
    imports, commands, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(3 if quick else 5):
            seconds, _ = _timed("-c", "import tensorflow")
            imports.append(seconds)
            asked = (f"--output_dir={folder}/{seed}", f"--seed={seed}", *LEAN)
            seconds, most = _timed(
                "-m", "poph_tf.generate", f"--num_bars={NUM_BARS}", *asked
            )
            commands.append(seconds)
            memory.append(most)
    imported, composed = statistics.median(imports), statistics.median(commands)
    figures = {
        "import_tensorflow_seconds": imported,
        "command_to_midi_seconds": composed,
        "command_to_midi_seconds_all": sorted(commands),
        "peak_memory_mb": max(memory) / 2**20,
    }
    return {**figures, "ratio_to_import": composed / imported, **_inside()}


def _timed(*arguments: str) -> tuple[float, int]:
    """Seconds until a fresh Python process ends, and its peak memory in bytes."""
    began, most = time.perf_counter(), 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.01)
    if process.wait():
        raise RuntimeError(f"python {' '.join(arguments)} failed.")
    return time.perf_counter() - began, most


def _inside() -> dict[str, float]:
    """Within one process: loading, the first bar of a stream, a second piece."""
    import poph_tf

    began = time.perf_counter()
    composer = poph_tf.load()
    loaded = time.perf_counter()
    next(composer.stream(num_bars=NUM_BARS, seed=100))
    first_bar = time.perf_counter()
    composer.compose(num_bars=NUM_BARS, seed=101)
    return {
        "load_seconds": loaded - began,
        "first_bar_seconds": first_bar - loaded,
        "second_piece_seconds": time.perf_counter() - first_bar,
    }
