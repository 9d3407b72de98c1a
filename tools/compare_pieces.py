"""Compares composed pieces with real ones: JSON, a table, pictures.

    python tools/compare_pieces.py --pieces=out --reference=data/bach --output_dir=rep

Both may be folders of MIDI files or of records. Of records, held-out pieces are what is
compared with, and training pieces are searched for what was copied.
"""

import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.errors import InputError
from poph_tf.evaluation import comparison, comparison_plots

FLAGS = flags.FLAGS
flags.DEFINE_string("pieces", None, "Folder of composed pieces.")
flags.DEFINE_string("reference", None, "Folder of real pieces.")
flags.DEFINE_string("output_dir", None, "Folder for the report.")
flags.DEFINE_string("split", "test", "Split of --reference to compare with.")
flags.DEFINE_string("train_split", "train", "Split to search for copies.")
flags.DEFINE_string("style", None, "Compare with real pieces of this style only.")
flags.DEFINE_integer("max_reference", 500, "Compare with so many real pieces at most.")


def main(argv):
    del argv
    own_flags.require("pieces", "reference", "output_dir")
    if FLAGS.max_reference < 3:
        raise InputError(f"--max_reference must be >= 3, got {FLAGS.max_reference}.")
    composed = comparison.load(FLAGS.pieces, FLAGS.split)
    reference = comparison.load(
        FLAGS.reference, FLAGS.split, FLAGS.max_reference, FLAGS.style
    )
    training = None
    if comparison.is_records(FLAGS.reference) and FLAGS.train_split != FLAGS.split:
        training = comparison.load(
            FLAGS.reference, FLAGS.train_split, style=FLAGS.style
        )
    result = comparison.compare(composed, reference, training)
    comparison.write(result, FLAGS.output_dir)
    comparison_plots.write(result, composed, reference, FLAGS.output_dir)
    print(comparison.table(result), end="")


if __name__ == "__main__":
    commands.run(main)
