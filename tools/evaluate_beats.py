"""Compares the beats found in performances with annotated ones.

    python tools/evaluate_beats.py --input=asap --weights=fold0.npz,fold1.npz

`--input` has performances of ASAP with their annotations. Without --weights, the
package's network is evaluated; with a file per fold, as tools/train_beats.py writes
them, each composition is evaluated with the network that has not seen it.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.data.preparation import beat_features, beat_network, beats
from poph_tf.errors import InputError
from poph_tf.evaluation import beats as beat_evaluation
from poph_tf.evaluation.beats import Performance

FLAGS = flags.FLAGS
flags.DEFINE_string("input", None, "Folder of performances with annotations.")
flags.DEFINE_list("weights", [], "Weights of the network of each fold.")
flags.DEFINE_bool("verbose", False, "Print a line for each performance.")

Finder = Callable[[Performance], beats.Beats]


def main(_: Sequence[str]) -> None:
    """Prints a table of F-measures."""
    pieces = list(beat_evaluation.read_performances(FLAGS.input or ""))
    if not FLAGS.input or not pieces:
        raise InputError("--input must be a folder of MIDI files with annotations.")
    folds = beat_evaluation.folds(pieces, len(FLAGS.weights) or 1)
    networks = [beat_network.weights(pathlib.Path(path)) for path in FLAGS.weights]

    def by_network(piece: Performance) -> beats.Beats:
        own = networks[folds[piece.composition]] if networks else None
        return beats.find(piece.notes, listen=lambda f: beat_network.apply(f, own))

    finders: dict[str, Finder] = {
        "the file's own grid": lambda p: beat_evaluation.beats_of_file(p.notes),
        "onsets alone": lambda p: beats.find(p.notes, listen=_plain),
        "network": by_network,
    }
    print(f"{'beats by':22}{'beats F':>9}{'bars F':>9}{'s/file':>9}")
    for name, finder in finders.items():
        print(_row(name, pieces, finder), flush=True)


def _row(name: str, pieces: Sequence[Performance], finder: Finder) -> str:
    scores, seconds = [], 0.0
    for piece in pieces:
        begun = time.perf_counter()
        found = finder(piece)
        seconds += time.perf_counter() - begun
        scores.append(beat_evaluation.scores(piece.beats, found))
        if FLAGS.verbose:
            print(f"{piece.name:50}{scores[-1][0]:9.3f}{scores[-1][1]:9.3f}")
    beat, bar = np.mean(scores, axis=0)
    return f"{name:22}{beat:9.3f}{bar:9.3f}{seconds / len(pieces):9.2f}"


def _plain(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence of beats from the number, loudness, length and depth of notes alone."""
    halves = features[:, : 2 * beat_features.PER_HALF].reshape(len(features), 2, -1)
    number, _, length, _ = np.moveaxis(halves[..., :4].max(axis=1), 1, 0)
    deep = -halves[..., beat_features.LOW].min(axis=1)
    salience = number + length + deep * (number > 0)
    beat = 3 * (salience / max(salience.std(), 1e-6) - 1.5)
    tempo = -((np.log(beat_network.INTERVALS / 0.6) / 0.5) ** 2) / 2
    none = np.zeros(len(features))  # beat_features.bar_evidence finds the bars.
    return beat, none, np.tile(tempo, (len(features), 1))


if __name__ == "__main__":
    commands.run(main)
