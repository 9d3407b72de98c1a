"""Runs the checks that need a machine with GPUs, and writes a report.

    python tools/gpu_check.py --report=gpu.md

Checks LSTMs on cuDNN, by the names of the kernels in a profile; mixed precision; steps
per second and the share of the peak; composing with XLA; one GPU against all of them;
memory. Without a GPU, the same code runs on the CPU, split into two devices, and the
report says what that could not check. The exit code is 1 if a check failed.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from benchmarks import gpu  # noqa: E402
from benchmarks.train import PRESETS  # noqa: E402

from poph_tf import files  # noqa: E402
from poph_tf.cli import commands  # noqa: E402
from poph_tf.cli.quiet import import_tensorflow  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("report", "gpu.md", "The report, as Markdown.")
flags.DEFINE_enum("preset", "poph2", list(PRESETS), "The network.")
flags.DEFINE_integer("batch_size", 16, "Windows per batch.", lower_bound=2)
flags.DEFINE_integer("window_steps", 128, "Steps per window.", lower_bound=2)
flags.DEFINE_integer("num_bars", 8, "Bars to compose.", lower_bound=1)
flags.DEFINE_integer("repetitions", 5, "Timings of each kind.", lower_bound=1)


def main(_: Sequence[str]) -> int:
    """Runs all checks and writes the report."""
    fields = [field.name for field in dataclasses.fields(gpu.Options)]
    asked: dict[str, Any] = {name: FLAGS[name].value for name in fields}
    options = gpu.Options(**asked)
    import_tensorflow()
    gpu.prepare_devices()
    found = {}
    for name, check in gpu.CHECKS.items():
        found[name] = gpu.checked(check, options)
        print(f"{name}: {found[name].verdict}. {found[name].said}", flush=True)
    files.write_output(FLAGS.report, gpu.report(found, options, gpu.machine()))
    print(FLAGS.report)
    return int(any(finding.verdict == gpu.FAILED for finding in found.values()))


if __name__ == "__main__":
    commands.run(main)
