r"""Composes and harmonizes with a model, and compares the music with real music.

  python tools/measure_music.py --model_dir=chorales --reference=data/midi/bach \
      --data_dir=data/bach_chorales --output_dir=out/chorales

Composes --num_pieces with default settings, one draw each. With --data_dir, it also
harmonizes the first track of as many pieces of --splits, on which the model was not
trained. Writes the pieces as MIDI, and `music.json` and `music.md`: each measure for
the real, composed and harmonized pieces. Takes a minute or two.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poph_tf import files
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.progress import Progress
from poph_tf.data import dataset, matrices
from poph_tf.data.matrices import Matrices
from poph_tf.evaluation import comparison, model_cards, results
from poph_tf.rendering import saving

if TYPE_CHECKING:
    from poph_tf.generation.composer import Composer

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "A model directory, or a pretrained model.")
flags.DEFINE_string("reference", None, "Folder of real pieces, MIDI or records.")
flags.DEFINE_string("data_dir", None, "Records whose first tracks are harmonized.")
flags.DEFINE_list("splits", ["test", "valid"], "Splits of --data_dir to harmonize.")
flags.DEFINE_integer("num_pieces", 30, "Pieces of each kind.", lower_bound=1)
flags.DEFINE_integer("num_bars", 32, "Bars of a composed piece.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of all pieces.", lower_bound=0)
flags.DEFINE_float("temperature", None, "None: the model's default.")
flags.DEFINE_float("top_p", None, "None: the model's default.")
flags.DEFINE_float("key_strength", None, "None: the model's default.")
flags.DEFINE_float("chord_strength", None, "None: the model's default.")
flags.DEFINE_string("output_dir", None, "Folder for the pieces and the tables.")


def main(_: Sequence[str]) -> None:
    """Composes, harmonizes, measures and writes."""
    own_flags.require("model_dir", "reference", "output_dir")
    output = files.ready_folder(FLAGS.output_dir)
    import poph_tf

    # Read first, so that bad input fails before minutes of composing.
    reference = comparison.load(Path(FLAGS.reference))
    melodies = list(_melodies()) if FLAGS.data_dir else []
    composer = poph_tf.load(FLAGS.model_dir)
    size = {"num_bars": FLAGS.num_bars, "num_pieces": FLAGS.num_pieces}
    sets = {"composed": _compose(composer, **size)}
    if melodies:
        sets["harmonized"] = _harmonize(composer, melodies)
    found = {}
    for kind, pieces in sets.items():
        names = [f"{kind}-{k:02}.mid" for k in range(len(pieces))]
        for name, piece in zip(names, pieces, strict=True):
            saving.save(piece, output / name)
        result = comparison.compare(comparison.PieceSet(names, pieces), reference)
        found[kind] = comparison.figures(result)
    if melodies:
        ends = map(_end_together, melodies, sets["harmonized"])
        found["harmonized"]["ends_with_the_melody"] = float(np.mean(list(ends)))
    files.write_json(output / "music.json", found)
    files.write(output / "music.md", text := _table(found))
    print(text, end="")


def _compose(composer: "Composer", **options: Any) -> list[Matrices]:
    names = ("seed", "temperature", "top_p", "key_strength", "chord_strength")
    options |= {name: FLAGS[name].value for name in names}
    pieces = composer.compose(**options)
    pieces = pieces if isinstance(pieces, list) else [pieces]
    return [piece.matrices for piece in pieces]


def _melodies() -> Iterator[Matrices]:
    """The first tracks of pieces that the model has not seen."""
    info = dataset.open_split(FLAGS.data_dir, FLAGS.splits[0])[0]
    pieces = itertools.chain.from_iterable(
        dataset.read_split(FLAGS.data_dir, split) for split in FLAGS.splits
    )
    for piece in itertools.islice(pieces, FLAGS.num_pieces):
        whole = piece.matrices
        first = info.tracks[:1]
        yield matrices.from_stack(whole.stack(first), first, whole.bar_position)


def _harmonize(composer: "Composer", melodies: Sequence[Matrices]) -> list[Matrices]:
    with Progress(len(melodies), "melodies") as progress:
        pieces = []
        for melody in melodies:
            pieces += _compose(composer, task="harmonize", music=melody)
            progress.update(len(pieces))
    return pieces


def _end_together(melody: Matrices, piece: Matrices) -> bool:
    """Whether the piece ends with the last note of the melody, in several voices."""
    end = np.flatnonzero(melody.play.any(axis=1))[-1]
    sounds = piece.play.sum(axis=1)
    return bool(sounds[end] > 1 and not sounds[end + 1 :].any())


def _table(found: dict[str, Any]) -> str:
    """The measures of a card: a column for the real pieces and one for each kind."""
    columns = [(found["composed"], "reference")]
    columns += [(figures, "composed") for figures in found.values()]
    rows = [
        [words, *(results.number(figures[name][of]["mean"]) for figures, of in columns)]
        for name, words in model_cards.SHOWN_MUSIC
    ]
    if ends := found.get("harmonized", {}).get("ends_with_the_melody"):
        rows.append(["ends with the melody", "1", "", results.number(ends)])
    return results.table(["mean", "real", *found], rows)


if __name__ == "__main__":
    commands.run(main)
