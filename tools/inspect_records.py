"""Looks into a data set: what it says of itself, or any record of it.

    python tools/inspect_records.py --data_dir=data/x
    python tools/inspect_records.py --data_dir=data/x --split=test --index=3 --text
    python tools/inspect_records.py --data_dir=data/x --find=bwv269 \
        --midi=a.mid --picture=a.png
    python tools/inspect_records.py --data_dir=data/x --verify

--text prints the matrices (o an onset, - a held note, | a bar line), --picture draws
them, --midi makes a MIDI file of them again. --verify reads every record.
"""

import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "The data set.")
flags.DEFINE_string("split", None, "train, valid or test; left out, any.")
flags.DEFINE_integer("index", None, "Show this record of the split, from 0.")
flags.DEFINE_string("find", None, "Show the record with this in its source or id.")
flags.DEFINE_bool("text", False, "Print its matrices.")
flags.DEFINE_integer("first_step", 0, "First step that --text prints.")
flags.DEFINE_integer("num_steps", 64, "Steps that --text prints.")
flags.DEFINE_string("midi", None, "Write it to this MIDI file.")
flags.DEFINE_string("picture", None, "Draw it to this .png file.")
flags.DEFINE_bool("verify", False, "Read all records and say what is damaged.")


def main(argv):
    del argv
    from poph_tf.data.preparation import inspection

    if not FLAGS.data_dir:
        raise InputError("--data_dir must name a data set.")
    if FLAGS.verify:
        return _verify(inspection)
    if FLAGS.index is None and not FLAGS.find:
        print(inspection.describe(FLAGS.data_dir))
        return 0
    piece = inspection.find(
        FLAGS.data_dir, FLAGS.split, index=FLAGS.index, text=FLAGS.find
    )
    print(inspection.heading(piece))
    if FLAGS.text:
        print(inspection.picture_in_text(piece, FLAGS.first_step, FLAGS.num_steps))
    if FLAGS.midi:
        inspection.write_midi(piece, FLAGS.midi)
    if FLAGS.picture:
        from poph_tf.rendering import saving

        saving.save(piece.matrices, FLAGS.picture, title=piece.source)
    return 0


def _verify(inspection):
    damage = inspection.verify(FLAGS.data_dir)
    if damage.problems:
        count = len(damage.problems)
        raise InputError(f"{damage.problems[0]} ({count} problems in all)")
    print(f"{damage.num_records} records, all sound.")
    return 0


if __name__ == "__main__":
    commands.run(main)
