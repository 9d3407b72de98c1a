"""Measures poph_tf on this machine and prints one JSON object:

  python tools/benchmark.py data|train|compose|distribute|serve

Ratios are taken within the run, so that a slow or busy machine does not change them
much. Quiet cores give better absolute figures. `data --archive=songs.tar.gz` times the
parse of your own files beside that of generated ones.
"""

import importlib
import json
import os
import pathlib
import platform
import sys

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from poph_tf.cli import commands  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

NAMES = ("data", "train", "compose", "distribute", "serve")
FLAGS = flags.FLAGS
flags.DEFINE_bool("quick", False, "Fewer repetitions: a look, not a figure to quote.")
flags.DEFINE_string(
    "archive", None, "data: time the parse on real files too (a folder or archive)."
)


def main(argv):
    which = argv[0] if argv else ""
    if which not in NAMES:
        raise InputError(f"Give one of {', '.join(NAMES)}, got {which!r}.")
    if FLAGS.archive and which != "data":
        raise InputError("--archive goes with `data` only.")
    module = importlib.import_module(f"benchmarks.{which}")
    options = {"archive": FLAGS.archive} if FLAGS.archive else {}
    figures = module.run(quick=FLAGS.quick, **options)
    machine = {"cores": os.cpu_count(), "processor": platform.machine()}
    print(json.dumps({"benchmark": which, "machine": machine, **figures}, indent=2))
    return 0


if __name__ == "__main__":
    commands.run(main, takes_words=True)
