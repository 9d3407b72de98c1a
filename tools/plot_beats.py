"""Draws a performance, the beats found in it, and its notes on the grid.

python tools/plot_beats.py --input=performance.mid --output=beats.png --bar=5
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.data import midi_bytes
from poph_tf.data.preparation import beats
from poph_tf.errors import InputError
from poph_tf.rendering import figures, performance

FLAGS = flags.FLAGS
flags.DEFINE_string("input", None, "A MIDI file of a performance.")
flags.DEFINE_string("output", "beats.png", "Picture to write.")
flags.DEFINE_integer("bar", 1, "The first bar to draw.", lower_bound=1)
flags.DEFINE_integer("bars", 6, "How many bars.", lower_bound=1)


def main(_: Sequence[str]) -> None:
    """Writes the picture."""
    path = pathlib.Path(FLAGS.input or "")
    if not path.is_file():
        raise InputError(f"--input must be a MIDI file; there is no {FLAGS.input!r}.")
    notes = midi_bytes.parse(path.read_bytes(), path.name)
    found = beats.find(notes)
    if len(found.downbeats) <= FLAGS.bar:
        raise InputError(
            f"--bar={FLAGS.bar} must be one of the {len(found.downbeats)} bars found."
        )
    picture = performance.draw(notes, found, first_bar=FLAGS.bar, bars=FLAGS.bars)
    figures.save(picture, FLAGS.output)


if __name__ == "__main__":
    commands.run(main)
