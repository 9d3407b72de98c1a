"""Draws the curve of a training run: nats per step, hours, memory.

    python tools/plot_run.py --model_dir=runs/x --output=curve.png

Reads metrics.jsonl of the folder, also while the run is still going on, and prints
one line that says the same in figures.
"""

import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.training import run_plots

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "The run.")
flags.DEFINE_string("output", None, "The .png to write.")
flags.DEFINE_string("title", "", "Printed above.")


def main(argv):
    del argv
    own_flags.require("model_dir", "output")
    validations = run_plots.read(FLAGS.model_dir)
    run_plots.draw(validations, FLAGS.output, FLAGS.title)
    print(run_plots.summary(validations))


if __name__ == "__main__":
    commands.run(main)
