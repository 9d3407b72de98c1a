"""Exports a model: `python -m poph_tf.export --model_dir=runs/x --export_dir=e`.

For TF Serving it writes a SavedModel atomically as the next version (e/1, then 2, ...)
and prints its path. poph_tf/serving/inputs.py describes the signatures;
`saved_model_cli show --dir=e/1 --all` lists names, types and shapes.

--format=litert converts the model to LiteRT and writes it to e itself. `--model_dir=e`
then composes without TensorFlow, within a second. With --weights=int8 it is smaller and
faster, but draws other pieces from the same seeds.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from poph_tf import locks, models
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import Limits
from poph_tf.errors import InputError
from poph_tf.models import pretrained

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model_dir", None, "Directory that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_string(
    "export_dir", None, "Folder to export to; SavedModels are 1, 2, ... below it."
)
flags.DEFINE_string("data_dir", None, "Data set to describe in the export.")
flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "litert"],
    "saved_model: for TF Serving; litert: for composing without TensorFlow.",
)
flags.DEFINE_enum(
    "weights",
    models.LIGHT_WEIGHTS[0],
    models.LIGHT_WEIGHTS,
    "How --format=litert stores the weights.",
)
own_flags.define(Limits)
own_flags.define_force()


def main(_: Sequence[str]) -> int:
    """Exports the model and prints where."""
    own_flags.require("model_dir", "export_dir")
    if FLAGS["weights"].present and FLAGS.format != "litert":
        raise InputError("--weights needs --format=litert; a SavedModel keeps float32.")
    limits = Limits(**own_flags.values(Limits))
    pretrained.resolve(FLAGS.model_dir)  # Fails before a folder is made.
    with locks.held(FLAGS.export_dir, force=FLAGS.force):
        print(_export(limits))
    return 0


def _export(limits: Limits) -> pathlib.Path:
    import_tensorflow()
    if FLAGS.format == "litert":
        from poph_tf.serving import litert

        return litert.export(FLAGS.model_dir, FLAGS.export_dir, FLAGS.weights)
    from poph_tf import serving

    return serving.export_model_dir(
        FLAGS.model_dir, FLAGS.export_dir, limits=limits, data_dir=FLAGS.data_dir
    )


def run() -> None:
    """The entry point."""
    commands.run(main)


if __name__ == "__main__":
    run()
