"""Writes scores that are included in music21 as MIDI files, one folder per style.

    python tools/fetch_corpus.py --corpus=bach,palestrina --output_dir=data/midi

Nothing is downloaded. A second run continues where the first stopped.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.cli.progress import Progress
from poph_tf.data.preparation import corpus
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_list("corpus", [], "Corpora to write, separated by commas; see --list.")
flags.DEFINE_string("output_dir", None, "Folder for a subfolder per corpus.")
flags.DEFINE_integer(
    "limit", None, "Read at most this many score files of each.", lower_bound=1
)
flags.DEFINE_integer("num_workers", 2, "Processes.", lower_bound=1)
flags.DEFINE_bool("list", False, "List the corpora and exit.")


def main(_: Sequence[str]) -> None:
    """Lists the corpora or writes some of them."""
    if FLAGS.list:
        for name, entry in corpus.CORPORA.items():
            print(f"{name:14} {len(corpus.find(name)):5} files  {entry.about}")
        return
    if not FLAGS.corpus or not FLAGS.output_dir:
        raise InputError(
            "Give --corpus and --output_dir, for example "
            "--corpus=bach --output_dir=data/midi; --list shows the corpora."
        )
    for name in FLAGS.corpus:  # Check all of them before writing the first.
        corpus.find(name)
    for name in FLAGS.corpus:
        with Progress(None, "score files") as progress:
            result = corpus.fetch(
                name,
                FLAGS.output_dir,
                limit=FLAGS.limit,
                num_workers=FLAGS.num_workers,
                progress=progress,
            )
        print(f"{name}: {result['written']} MIDI files in {result['folder']}")
        for reason, count in sorted(result["rejected"].items()):
            print(f"  {count:6} rejected: {reason}")


if __name__ == "__main__":
    commands.run(main)
