"""Composes: python -m poph_tf.generate --output_dir=out

Writes piece-1.mid, .png and .wav and so on, and index.html, which plays and shows them
all. The same --seed, settings and build give the same pieces. Without --model_dir a
model that comes with the package composes (--list_pretrained names them).

--style takes one style of the model or a mixture (bach:0.7,monteverdi:0.3); --key,
--density and --cut steer what is drawn. With music of your own: --primer goes on from
it, --redraw draws some of its bars anew, --fix holds its notes and composes around it.
"""

import os

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import GenerationConfig
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model_dir", None, "Directory that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_string("pretrained", None, "A model that comes with the package.")
flags.DEFINE_bool("list_pretrained", False, "Print the models of the package and exit.")
flags.DEFINE_string("output_dir", None, "Where the pieces go.")
own_flags.define(GenerationConfig)
flags.DEFINE_bool("png", None, "Draw piano rolls; not said: if matplotlib is there.")
flags.DEFINE_bool(
    "wav",
    None,
    "Make sound; not said: of pieces up to half an hour, if tinysoundfont is there.",
)
flags.DEFINE_bool("page", True, "Write index.html, which plays and shows all pieces.")
flags.DEFINE_bool("jit_compile", None, "Compile with XLA; not said: if it saves time.")


def main(argv):
    del argv
    from poph_tf.models import pretrained

    if FLAGS.list_pretrained:
        print(pretrained.table())
        return 0
    own_flags.require("output_dir")
    model = pretrained.chosen(FLAGS.model_dir, FLAGS.pretrained)
    import_tensorflow()

    wishes = GenerationConfig(**own_flags.values(GenerationConfig))
    for path in _compose(model, wishes):
        print(path)
    return 0


def _compose(model_dir, wishes):
    from poph_tf import models
    from poph_tf.cli.progress import Bar
    from poph_tf.generation import engine, tasks
    from poph_tf.generation import request as wishes_lib
    from poph_tf.rendering import saving

    model = models.load(model_dir)
    wishes_lib.style_schedule(wishes.style, model.config)  # a wrong one fails early
    plan = tasks.make(wishes, model.config)
    if os.path.exists(FLAGS.output_dir) and not os.path.isdir(FLAGS.output_dir):
        raise InputError(f"--output_dir must be a folder, got {FLAGS.output_dir!r}.")
    composer = engine.Composer(model, FLAGS.jit_compile)
    pieces = composer.compose(wishes, Bar(plan.num_steps, "steps").update)
    return saving.save_all(
        pieces,
        FLAGS.output_dir,
        model.config,
        png=FLAGS.png,
        wav=FLAGS.wav,
        page=FLAGS.page,
    )


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
