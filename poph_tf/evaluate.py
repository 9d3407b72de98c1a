"""Scores a model on a split: python -m poph_tf.evaluate --model_dir=runs/x --data_dir=d

Whole pieces, the state carried from window to window. Prints one JSON object; the nats
are per step (a sixteenth note), summed over pitches, lower is better, and stand beside
those of the per-pitch marginal of the training split.
"""

import json

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow

FLAGS = flags.FLAGS

flags.DEFINE_string("data_dir", None, "Folder of records with dataset_info.json.")
flags.DEFINE_string(
    "model_dir", None, "Directory that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "What to score.")
flags.DEFINE_integer("batch_size", 8, "Pieces at once.", lower_bound=1)
own_flags.define_cores()
flags.DEFINE_integer("window_steps", 128, "Steps at once.", lower_bound=1)
flags.DEFINE_bool(
    "skip_corrupt",
    False,
    "Leave damaged records out, and count them, instead of ending.",
)


def main(argv):
    del argv
    own_flags.require("model_dir", "data_dir")
    import_tensorflow()
    from poph_tf import models
    from poph_tf.cli.progress import Bar
    from poph_tf.data import dataset
    from poph_tf.evaluation import likelihood
    from poph_tf.models import slices as slices_lib

    slices = slices_lib.prepare(FLAGS.batch_size, FLAGS.cores)
    model = models.load(FLAGS.model_dir)
    info, _ = dataset.open_split(FLAGS.data_dir, FLAGS.split)
    dataset.check_styles(info, model.config)

    damaged = {}

    def read_split(split):
        _, paths = dataset.open_split(FLAGS.data_dir, split)
        if not FLAGS.skip_corrupt:
            return dataset.read_pieces(paths)
        damaged[split] = []  # a split may be read more than once
        return dataset.read_pieces(paths, damaged=damaged[split])

    bar = Bar(info.splits[FLAGS.split].num_pieces, "pieces")
    figures = likelihood.evaluate(
        model,
        read_split,
        FLAGS.split,
        progress=bar.update,
        batch_size=FLAGS.batch_size,
        window_steps=FLAGS.window_steps,
        slices=slices,
    )
    if FLAGS.skip_corrupt:
        figures["damaged_records_left_out"] = {k: len(v) for k, v in damaged.items()}
    print(json.dumps({"split": FLAGS.split, "data_id": info.id, **figures}, indent=2))
    return 0


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
