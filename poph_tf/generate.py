"""Composes pieces.

  python -m poph_tf.generate --output_dir=out --num_bars=16

Writes piece-1.mid, piece-1.png, piece-1.wav and so on, and index.html, which plays and
shows all of them. The same --seed, settings and build give the same pieces. Without
--model_dir a pretrained model is used (--list_pretrained lists them).

--style takes one style of the model or a mixture (bach:0.7,monteverdi:0.3); --key,
--density and --min_probability control what is drawn. With your own music (--music),
--task continues it, redraws some of its --bars or tracks, or keeps the notes of --given
tracks and composes around them.
"""

import sys
from collections.abc import Sequence

from absl import flags

from poph_tf import files
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.progress import Progress
from poph_tf.config import GenerationConfig
from poph_tf.config.generation import is_path
from poph_tf.models import pretrained

FLAGS = flags.FLAGS

flags.DEFINE_string("model_dir", None, "Folder of poph_tf.train, or pretrained model.")
flags.DEFINE_string("pretrained", None, "Name of a model that comes with the package.")
flags.DEFINE_bool("list_pretrained", False, "List the pretrained models and exit.")
_FOLDER = "Folder for the pieces; those of an earlier run are replaced."
flags.DEFINE_string("output_dir", None, _FOLDER)
own_flags.define(GenerationConfig)
flags.DEFINE_bool("png", None, "Draw piano rolls; unset: if matplotlib is installed.")
_WAV = "Write audio; unset: up to half an hour, if tinysoundfont is installed."
flags.DEFINE_bool("wav", None, _WAV)
flags.DEFINE_bool("page", True, "Write index.html, which plays and shows all pieces.")
flags.DEFINE_bool("jit_compile", None, "Compile with XLA; unset: if it saves time.")


def main(words: Sequence[str]) -> int:
    """Checks the flags, then composes."""
    if FLAGS.list_pretrained:
        print(pretrained.table())
        return 0
    own_flags.require("output_dir")
    model_dir = pretrained.chosen(FLAGS.model_dir, FLAGS.pretrained)
    config = GenerationConfig(**own_flags.values(GenerationConfig))
    from poph_tf.generation.composer import Composer
    from poph_tf.rendering import saving

    composer = Composer(model_dir, jit_compile=FLAGS.jit_compile)
    request = config.resolve(composer.config)
    for change in request.task.changes:
        print(f"note: {change}", file=sys.stderr)
    output_dir = files.ready_folder(FLAGS.output_dir)
    written = saving.midi_paths(output_dir, config.num_pieces)
    if is_path(config.source):
        saving.require_kept(config.source, written)
    if any(path.exists() for path in written):
        print(f"note: new pieces replace those in {output_dir}.", file=sys.stderr)
    with Progress(request.num_steps, "steps") as progress:
        pieces = composer.engine(request).generate(request, progress.update)
    media = {"png": FLAGS.png, "wav": FLAGS.wav, "page": FLAGS.page}
    media["name"] = model_dir.name
    print(*saving.save_all(pieces, output_dir, composer.config, **media), sep="\n")
    if any(piece.key for piece in pieces):
        keys = ", ".join(piece.key or "unknown" for piece in pieces)
        print(f"keys: {keys}", file=sys.stderr)
    return 0


def run() -> None:
    """The entry point of the installed command."""
    commands.run(main)


if __name__ == "__main__":
    run()
