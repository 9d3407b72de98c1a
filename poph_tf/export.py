"""Exports for TF Serving: python -m poph_tf.export --model_dir=runs/x --export_dir=e/x

Writes the SavedModel of the next version (e/x/1, then 2, ...), whole or not at all,
and prints its path. Its signatures are serving_default (= compose), compose_midi, hear,
continue_ and score; poph_tf/serving/signatures.py describes them, and
`saved_model_cli show --dir=e/x/1 --all` shows names, types and shapes.
"""

import os

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model_dir", None, "Directory that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_string("export_dir", None, "Versions 1, 2, ... appear below it.")
flags.DEFINE_string("data_dir", None, "Its dataset_info.json goes along, if given.")
flags.DEFINE_integer("max_steps", 4096, "Longest piece that may be asked for.")
flags.DEFINE_integer("max_batch", 64, "Most pieces in one request or merged batch.")


def main(argv):
    del argv
    own_flags.require("model_dir", "export_dir")
    import_tensorflow()
    from poph_tf import models, serving

    limits = serving.Limits(FLAGS.max_steps, FLAGS.max_batch)
    model = models.load(FLAGS.model_dir)
    settings = models.read_settings(FLAGS.model_dir)
    dataset_info = _dataset_info(settings) if FLAGS.data_dir else None
    path = serving.export(
        model,
        FLAGS.export_dir,
        limits=limits,
        settings=settings,
        dataset_info=dataset_info,
    )
    print(path)
    return 0


def _dataset_info(settings):
    """The path of the data set's description, if the model was trained on it."""
    from poph_tf.data import examples

    trained_on = settings.get("data", {}).get("id")
    given = examples.read_info(FLAGS.data_dir).id
    if given != trained_on:
        raise InputError(
            f"--data_dir must be the data set that the model was trained on, with id "
            f"{trained_on}; {FLAGS.data_dir} has id {given}."
        )
    return os.path.join(FLAGS.data_dir, "dataset_info.json")


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
