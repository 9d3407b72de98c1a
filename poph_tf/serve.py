"""The server: `python -m poph_tf.serve` composes for a web page and for programs.

The page at / and the API (see /docs) use the pretrained models or those of --model_dir.
With --export_dir the server also answers TF Serving's REST API for an export of
poph_tf, and switches to a newer version when one appears. On SIGTERM or Ctrl-C, running
pieces end at the next bar. For deployment see tools/deployment/.
"""

import socket
from collections.abc import Sequence

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.config import ServerConfig
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "model_dir",
    [],
    "Models to compose with, the default first: folders of poph_tf.train or of "
    "poph_tf.export --format=litert, or pretrained models. Default: all pretrained.",
)
flags.DEFINE_string("export_dir", None, "Also serve this SavedModel of poph_tf.export.")
flags.DEFINE_string(
    "model_name", "", "Name of the SavedModel. Default: the last part of its directory."
)
own_flags.define(ServerConfig)


def main(_: Sequence[str]) -> int:
    """Serves until a signal stops it."""
    config = ServerConfig(**own_flags.values(ServerConfig))
    # Before any slow import, so that a port in use is reported at once.
    with _listen(config.host, config.port) as listener:
        try:
            from poph_tf.serving import lifecycle
        except ModuleNotFoundError as error:
            raise InputError(
                f"The server needs {error.name}: pip install 'poph_tf[serve]'."
            ) from None
        lifecycle.run(
            config,
            listener,
            model_dirs=FLAGS.model_dir,
            export_dir=FLAGS.export_dir,
            name=FLAGS.model_name,
        )
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(
            f"Cannot listen at {host}:{port} ({error.strerror or error}); choose "
            f"another --port, or 0 for a free one."
        ) from None


def run() -> None:
    """The entry point."""
    commands.run(main)


if __name__ == "__main__":
    run()
