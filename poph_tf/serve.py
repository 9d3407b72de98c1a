"""A development server: `python -m poph_tf.serve --export_dir=serving/poph`.

With --model_dir=runs/x, or the name of a pretrained model, it makes the export first.
It answers TF Serving's REST API for an export of poph_tf; a page at / composes, shows,
plays and saves pieces. It serves the newest version and switches to a newer one when
that appears. SIGTERM or Ctrl-C lets running requests end first. For a deployment see
tools/deployment/.
"""

from collections.abc import Sequence

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import ServerConfig
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string("export_dir", None, "Directory that poph_tf.export wrote.")
flags.DEFINE_string(
    "model_dir", None, "Instead: a directory of poph_tf.train, or a pretrained model."
)
flags.DEFINE_string("model_name", "", "Default: the last part of the directory.")
own_flags.define(ServerConfig)


def main(argv: Sequence[str]) -> int:
    """Serves until a signal."""
    del argv
    if bool(FLAGS.export_dir) == bool(FLAGS.model_dir):
        raise InputError("Either --export_dir or --model_dir must be given.")
    config = ServerConfig(**own_flags.values(ServerConfig))
    import_tensorflow()
    try:
        from poph_tf.serving.server import lifecycle
    except ModuleNotFoundError as error:
        raise InputError(
            f"The server needs {error.name}: pip install 'poph_tf[serve]'."
        ) from None
    lifecycle.run(
        config,
        export_dir=FLAGS.export_dir,
        model_dir=FLAGS.model_dir,
        name=FLAGS.model_name,
    )
    return 0


def run() -> None:
    """The entry point."""
    commands.run(main)


if __name__ == "__main__":
    run()
