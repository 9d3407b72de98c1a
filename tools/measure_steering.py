"""Measures whether a model does what it is asked for:

  python tools/measure_steering.py --model_dir=runs/x --data_dir=data/x

Composes --num_pieces for each target density, each strength of a key and each style,
and prints one JSON object; --output keeps it, --markdown prints tables instead. Real
pieces of --data_dir teach a classifier what the styles are.
"""

import json
import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model_dir", None, "A directory of poph_tf.train, or a pretrained model."
)
flags.DEFINE_string("data_dir", None, "Records of real pieces, of the same styles.")
flags.DEFINE_integer("num_pieces", 50, "Pieces for each thing asked.", lower_bound=2)
flags.DEFINE_integer("num_bars", 16, "Bars of each piece.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of all pieces.")
flags.DEFINE_string("output", None, "File for the JSON object.")
flags.DEFINE_bool("markdown", False, "Print tables.")


def main(argv):
    del argv
    own_flags.require("model_dir")
    import_tensorflow()
    from poph_tf import models, provenance
    from poph_tf.evaluation import control_trials
    from poph_tf.generation import engine

    composer = engine.Composer(models.load(FLAGS.model_dir))
    styles = composer.config.styles
    # Before minutes of composing: what can be wrong with the data.
    real = _real(styles) if len(styles) > 1 else None
    wishes = engine.GenerationConfig(
        num_pieces=FLAGS.num_pieces, num_bars=FLAGS.num_bars, seed=FLAGS.seed
    )
    figures = {
        "num_pieces": FLAGS.num_pieces,
        "num_bars": FLAGS.num_bars,
        "density": control_trials.density_trial(composer, wishes),
        "key": control_trials.key_trial(composer, wishes),
    }
    if real:
        figures["style"] = control_trials.style_trial(composer, wishes, *real)
    if FLAGS.output:
        provenance.write_json(FLAGS.output, figures)
    print(
        control_trials.table(figures)
        if FLAGS.markdown
        else json.dumps(figures, indent=2)
    )
    return 0


def _real(styles):
    """The pieces of train and test, by style."""
    own_flags.require("data_dir")
    real = [_by_style(split, styles) for split in ("train", "test")]
    missing = [style for style in styles if not all(split[style] for split in real)]
    if missing:
        raise InputError(
            f"{FLAGS.data_dir} must have training and test pieces of each style of the "
            f"model; it lacks {', '.join(missing)}."
        )
    return real


def _by_style(split, styles):
    from poph_tf.data import dataset

    pieces = {style: [] for style in styles}
    for piece in dataset.read_pieces(dataset.open_split(FLAGS.data_dir, split)[1]):
        if piece.style in pieces:
            pieces[piece.style].append(piece.matrices)
    return pieces


if __name__ == "__main__":
    commands.run(main)
