"""Measures whether a model follows its controls.

  python tools/measure_controls.py --model_dir=runs/x --data_dir=data/x

Composes --num_pieces for each target density, key strength and style, and prints one
JSON object; --output saves it, --markdown prints tables instead. A classifier learns
the styles from the real pieces of --data_dir.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poph_tf import files
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import GenerationConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "A model directory, or a pretrained model.")
flags.DEFINE_string("data_dir", None, "Records of real pieces in the same styles.")
flags.DEFINE_integer("num_pieces", 50, "Pieces for each value.", lower_bound=2)
flags.DEFINE_integer("num_bars", 16, "Bars of each piece.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of all pieces.")
flags.DEFINE_string("output", None, "File for the JSON object.")
flags.DEFINE_bool("markdown", False, "Print tables.")


def main(_: Sequence[str]) -> None:
    """Prints the figures of all trials."""
    own_flags.require("model_dir")
    import_tensorflow()
    from poph_tf import models
    from poph_tf.evaluation import control_trials
    from poph_tf.generation import engine

    composer = engine.Engine(models.load(FLAGS.model_dir))
    styles, real = composer.config.styles, []
    if len(styles) > 1:
        own_flags.require("data_dir")
        # Read first, so that bad data fails before minutes of composing.
        real = control_trials.read_real(Path(FLAGS.data_dir), styles)
    settings = GenerationConfig(
        num_pieces=FLAGS.num_pieces, num_bars=FLAGS.num_bars, seed=FLAGS.seed
    )
    figures = control_trials.Trials(composer.compose, settings).run(real)
    if FLAGS.output:
        files.write_json(FLAGS.output, figures)
    text = json.dumps(figures, indent=2) + "\n"
    print(control_trials.table(figures) if FLAGS.markdown else text, end="")


if __name__ == "__main__":
    commands.run(main)
