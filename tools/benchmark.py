"""Measures poph_tf on this machine and prints one JSON object.

    python tools/benchmark.py data|train|compose|distribute|serve|start

Ratios are measured within one run, so a slow or busy machine does not change them
much; absolute figures are better on idle cores. `data --archive=songs.tar.gz` also
times parsing your own files.
"""

import importlib
import json
import os
import pathlib
import platform
import sys
from collections.abc import Sequence

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from poph_tf.cli import commands  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

NAMES = ("data", "train", "compose", "distribute", "serve", "start")
# The benchmarks that take each option.
OPTIONS = {
    "archive": ("data",),
    "preset": ("compose", "serve"),
    "saved_model": ("serve",),
    "soak_minutes": ("serve",),
}
FLAGS = flags.FLAGS
flags.DEFINE_bool("quick", False, "Fewer repetitions, for a rough figure.")
flags.DEFINE_string(
    "archive", None, "data: also time parsing a folder or archive of your own files."
)
flags.DEFINE_string("preset", None, "compose, serve: the preset; deepj by default.")
flags.DEFINE_bool("saved_model", False, "serve: also measure a SavedModel.")
flags.DEFINE_float(
    "soak_minutes",
    None,
    "serve: how long to watch the memory; 2 by default.",
    lower_bound=0.1,
)


def main(argv: Sequence[str]) -> int:
    """Runs one benchmark."""
    name = argv[0] if argv else ""
    if name not in NAMES:
        raise InputError(f"Give one of {', '.join(NAMES)}, got {name!r}.")
    options = {key: FLAGS[key].value for key in OPTIONS if FLAGS[key].value}
    for key in options:
        if name not in OPTIONS[key]:
            raise InputError(f"--{key} works with {', '.join(OPTIONS[key])} only.")
    figures = importlib.import_module(f"benchmarks.{name}").run(FLAGS.quick, **options)
    machine = {"cores": os.cpu_count(), "processor": platform.machine()}
    print(json.dumps({"benchmark": name, "machine": machine, **figures}, indent=2))
    return 0


if __name__ == "__main__":
    commands.run(main, takes_words=True)
