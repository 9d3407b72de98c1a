"""A development server: python -m poph_tf.serve --export_dir=serving/poph --port=8501

With --model_dir=runs/x, or the name of a pretrained model, it makes the export itself.
Speaks TF Serving's REST dialect for an export of poph_tf, with a page at / that
composes, shows, plays and saves pieces. It serves the newest version and takes over a
newer one when it appears. SIGTERM or Ctrl-C lets running requests end first. For a
deployment see tools/deployment/.
"""

import contextlib
import os
import signal
import sys
import tempfile

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import ServerConfig
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string("export_dir", None, "Directory that poph_tf.export wrote into.")
flags.DEFINE_string(
    "model_dir", None, "Instead: one of poph_tf.train, or a pretrained model."
)
flags.DEFINE_string("model_name", "", "Default: the last part of the directory.")
own_flags.define(ServerConfig)


def main(argv):
    del argv
    if bool(FLAGS.export_dir) == bool(FLAGS.model_dir):
        raise InputError("Either --export_dir or --model_dir must be given.")
    import_tensorflow()
    try:
        from poph_tf.serving.server import app, batching, lifecycle, model_versions
    except ModuleNotFoundError as error:
        raise InputError(
            f"The server needs {error.name}: pip install 'poph_tf[serve]'."
        ) from None

    with (
        lifecycle.listen(FLAGS.host, FLAGS.port) as listener,
        _exported() as export_dir,
    ):
        versions = model_versions.Versions(export_dir, FLAGS.model_name)
        versions.refresh(FLAGS.warm_up)
        most = versions.current.card["limits"]["max_batch"]
        num_threads = FLAGS.num_threads or os.cpu_count()
        server = app.Server(
            versions,
            lambda: batching.Batcher(
                num_threads,
                most if FLAGS.batching else 1,
                FLAGS.batch_timeout_ms / 1000,
            ),
            app.Options(
                max_body_bytes=FLAGS.max_body_mb * 2**20,
                run_seconds=FLAGS.timeout_seconds,
                max_waiting=FLAGS.max_waiting,
                poll_seconds=FLAGS.poll_seconds,
            ),
        )
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(
            f"Serving {versions.name} version {versions.current.number} at "
            f"http://{shown}:{port}/",
            flush=True,
        )
        lifecycle.serve(server.app(), listener, FLAGS.timeout_seconds)
    lifecycle.leave(server.batcher)
    return 0


@contextlib.contextmanager
def _exported():
    """The export directory; that of a model directory lasts as long as the server."""
    if FLAGS.export_dir:
        yield FLAGS.export_dir
        return
    from poph_tf import models, serving

    model = models.load(FLAGS.model_dir)
    settings = models.read_settings(FLAGS.model_dir)
    name = os.path.basename(os.path.abspath(FLAGS.model_dir))
    print(f"Exporting {FLAGS.model_dir}...", flush=True)
    # Until the server has its own handler a signal must not leave the folder behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="poph-serve-") as folder:
        export_dir = os.path.join(folder, name)
        serving.export(model, export_dir, settings=settings)
        yield export_dir


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
