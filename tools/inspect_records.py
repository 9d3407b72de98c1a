"""Inspects a data set: its info, or any of its records.

    python tools/inspect_records.py --data_dir=data/x
    python tools/inspect_records.py --data_dir=data/x --split=test --index=3 --text
    python tools/inspect_records.py --data_dir=data/x --find=bwv269 \
        --midi=a.mid --picture=a.png
    python tools/inspect_records.py --data_dir=data/x --verify

--text prints the matrices (o an onset, - a held note, | a bar line), --picture draws
them, --midi converts them to a MIDI file. --verify reads every record.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "The data set.")
flags.DEFINE_string("split", None, "train, valid or test; any by default.")
flags.DEFINE_integer("index", None, "Show this record of the split, from 0.")
flags.DEFINE_string("find", None, "Show the record with this in its source or id.")
flags.DEFINE_bool("text", False, "Print its matrices.")
flags.DEFINE_integer("first_step", 0, "First step that --text prints.")
flags.DEFINE_integer("num_steps", 64, "Steps that --text prints.")
flags.DEFINE_string("midi", None, "Write the record to this MIDI file.")
flags.DEFINE_string("picture", None, "Draw the record to this .png file.")
flags.DEFINE_bool("verify", False, "Read all records and report damage.")


def main(_: Sequence[str]) -> None:
    """Shows a data set or one record, or verifies all records."""
    from poph_tf.data.preparation import inspection

    own_flags.require("data_dir")
    if FLAGS.verify:
        damage = inspection.verify(FLAGS.data_dir)
        if damage.problems:
            count = len(damage.problems)
            raise InputError(f"{damage.problems[0]} ({count} problems in all)")
        print(f"{damage.num_records} records, all valid.")
    elif FLAGS.index is None and not FLAGS.find:
        print(inspection.describe(FLAGS.data_dir))
    else:
        piece = inspection.find(
            FLAGS.data_dir, FLAGS.split, index=FLAGS.index, text=FLAGS.find
        )
        print(inspection.heading(piece))
        if FLAGS.text:
            print(inspection.picture_in_text(piece, FLAGS.first_step, FLAGS.num_steps))
        for path in filter(None, (FLAGS.midi, FLAGS.picture)):
            from poph_tf.rendering import saving

            saving.save(piece.matrices, path, title=piece.source)


if __name__ == "__main__":
    commands.run(main)
