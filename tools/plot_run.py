"""Plots a training run: nats per step, hours, memory.

    python tools/plot_run.py --model_dir=runs/x --output=curve.png
    python tools/plot_run.py --model_dir=runs/x --model_dir=runs/y --output=both.png

Reads metrics.jsonl in the folder, even while the run continues, and prints the main
figures in one line. Several runs share a plot of validation against minutes.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.rendering import figures
from poph_tf.training import metrics_file, run_plots

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("model_dir", None, "Folder of a run.")
flags.DEFINE_string("output", None, "The .png file to write.")
flags.DEFINE_string("title", "", "Printed above the curve.")


def main(_: Sequence[str]) -> None:
    """Plots the runs given by the flags."""
    own_flags.require("model_dir", "output")
    runs = {run: metrics_file.read(run) for run in FLAGS.model_dir}
    if len(runs) == 1:
        (validations,) = runs.values()
        figure = run_plots.draw(validations, FLAGS.title)
    else:
        figure = run_plots.draw_together(runs, FLAGS.title)
    figures.save(figure, FLAGS.output)
    for name, validations in runs.items():
        label = f"{name}: " if len(runs) > 1 else ""
        print(label + run_plots.summary(validations))


if __name__ == "__main__":
    commands.run(main)
