"""Writes scores that come with music21 as MIDI files, one folder for each style.

    python tools/fetch_corpus.py --corpus=bach,palestrina --output_dir=data/midi

Nothing is downloaded. A second run goes on where the first was stopped.
"""

import pathlib
import sys
import time

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.data.preparation import corpus
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_list("corpus", [], "Corpora to write, separated by commas; see --list.")
flags.DEFINE_string("output_dir", None, "Folder that gets a folder for each corpus.")
flags.DEFINE_integer("limit", None, "Read this many score files of each at most.")
flags.DEFINE_integer("num_workers", 2, "Processes.")
flags.DEFINE_bool("list", False, "List the corpora and exit.")

_BAR = 30


def main(argv):
    del argv
    if FLAGS.list:
        return _list()
    _check()
    for name in FLAGS.corpus:
        result = corpus.fetch(
            name,
            FLAGS.output_dir,
            limit=FLAGS.limit,
            num_workers=FLAGS.num_workers,
            progress=_Progress(name),
        )
        print(f"{name}: {result['written']} MIDI files in {result['folder']}")
        for reason, count in sorted(result["rejected"].items()):
            print(f"  {count:6} rejected: {reason}")


def _check():
    if not FLAGS.corpus or not FLAGS.output_dir:
        raise InputError(
            "Give --corpus and --output_dir, for example "
            "--corpus=bach --output_dir=data/midi; --list shows the corpora."
        )
    for name in FLAGS.corpus:  # All of them before the work on the first begins.
        corpus.find(name)
    for name in ("limit", "num_workers"):
        value = getattr(FLAGS, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} must be at least 1, got {value}.")


def _list():
    for name, entry in corpus.CORPORA.items():
        print(f"{name:14} {len(corpus.find(name)):5} files  {entry.about}")


class _Progress:
    """One line that grows on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, name):
        self.name, self.last = name, time.monotonic()

    def __call__(self, done, total):
        shown = "#" * (_BAR * done // total)
        line = f"{self.name} [{shown:{_BAR}}] {done}/{total}"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done == total else "", file=sys.stderr)
        elif done == total or time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    commands.run(main)
