"""Exports for TF Serving: python -m poph_tf.export --model_dir=runs/x --export_dir=e/poph

Writes the SavedModel of the next version (e/poph/1, then 2, ...), whole or not at all,
with the signatures serving_default (= compose) and score; see poph_tf/serving.py or
`saved_model_cli show --dir=e/poph/1 --all` for names, types and shapes.
"""

from absl import flags

from poph_tf import commands
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string("model_dir", None, "Directory that poph_tf.train wrote.")
flags.DEFINE_string("export_dir", None, "Versions 1, 2, ... appear below it.")
flags.DEFINE_integer("max_steps", 4096, "Longest piece that may be asked for.")


def main(argv):
    del argv
    for name in ("model_dir", "export_dir"):
        if not FLAGS[name].value:
            raise InputError(f"--{name} must be given; see --help.")
    if FLAGS.max_steps < 1:
        raise InputError(f"--max_steps must be 1 or more, got {FLAGS.max_steps}.")
    from poph_tf import models, serving

    model = models.load(FLAGS.model_dir)
    settings = models.read_settings(FLAGS.model_dir)
    print(
        serving.export(
            model, FLAGS.export_dir, max_steps=FLAGS.max_steps, settings=settings
        )
    )
    return 0


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
