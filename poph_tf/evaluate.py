"""Scores a model on a split.

  python -m poph_tf.evaluate --model_dir=runs/x --data_dir=data/x --split=test

Scores whole pieces; the state is carried from window to window. Prints one JSON object
with the nats per step (a sixteenth note), summed over pitches and tracks (lower is
better), beside those of the per-pitch marginal of the training split. In models with
tracks, --given=TRACK also scores each of the other tracks given these.

With --compare it needs no model and compares composed pieces with real ones:

  python -m poph_tf.evaluate --compare=out --reference=data/bach --report_dir=report

Both are folders of music files or of records. For records, the pieces of --split are
compared, and those of --train_split are searched for copied passages. Prints one JSON
object with a key for each musical measure; --report_dir gets tables and plots, and
--blind_test a page with ten pairs, real or composed, that counts and saves answers.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from poph_tf import files
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.progress import Progress
from poph_tf.cli.quiet import import_tensorflow

if TYPE_CHECKING:
    from poph_tf.data.examples import Piece

FLAGS = flags.FLAGS
# The mean of fewer pieces can leave the ranges of the guards by chance.
FEW_PIECES = 30
SPLITS = ["train", "valid", "test"]

flags.DEFINE_string("data_dir", None, "Folder of records with dataset_info.json.")
flags.DEFINE_string(
    "model_dir", None, "Folder that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_enum("split", "test", SPLITS, "The split to score, or to compare with.")
flags.DEFINE_integer("batch_size", 8, "Pieces per batch.", 1, 65_536)
flags.DEFINE_list("given", [], "Tracks to condition on: score the others given these.")
own_flags.define_cores()
flags.DEFINE_integer("window_steps", 128, "Steps per window.", 1, 65_536)
flags.DEFINE_bool("skip_corrupt", False, "Skip and count damaged records.")
flags.DEFINE_string("compare", None, "Folder of composed pieces.")
flags.DEFINE_string("reference", None, "Folder of real pieces, for --compare.")
flags.DEFINE_enum("train_split", "train", SPLITS, "Split to search for copies.")
flags.DEFINE_string("style", None, "Compare only with real pieces of this style.")
flags.DEFINE_integer("max_reference", 500, "Maximum number of real pieces.", 3, 10**6)
flags.DEFINE_string("report_dir", None, "Folder for the report of --compare.")
flags.DEFINE_enum(
    "shuffle",
    None,
    ["bars", "pitches", "voices"],
    "Control experiment: shuffle the pieces of --compare; the measures should show it.",
)
flags.DEFINE_string("blind_test", None, "HTML page for a blind test of both sets.")


def main(_: Sequence[str]) -> None:
    """Prints the results for a model, or for composed pieces, as JSON."""
    print(files.to_json(_compare() if FLAGS.compare else _score()))


def _score() -> dict[str, Any]:
    own_flags.require("model_dir", "data_dir")
    import_tensorflow()
    from poph_tf import models
    from poph_tf.data import dataset, integrity
    from poph_tf.evaluation import likelihood
    from poph_tf.models import slices as slices_lib

    slices = slices_lib.prepare(FLAGS.batch_size, FLAGS.cores)
    model = models.load(FLAGS.model_dir)
    info, _ = dataset.open_split(FLAGS.data_dir, FLAGS.split)
    foreign = dataset.check_styles(info, model.config)
    faults = integrity.check(info, FLAGS.data_dir, skip_corrupt=FLAGS.skip_corrupt)
    for fault in filter(None, [foreign, *faults]):
        print(f"note: {fault}.", file=sys.stderr)
    if model.config.tracks:  # A merged roll can be read from any data set.
        dataset.check_tracks(info, model.config)
    damaged: dict[str, list[str]] = {}

    def read_split(split: str) -> Iterable["Piece"]:
        if FLAGS.skip_corrupt:
            damaged[split] = []  # a split may be read more than once
        return dataset.read_split(FLAGS.data_dir, split, damaged.get(split))

    with Progress(info.splits[FLAGS.split].num_pieces, "pieces") as progress:
        figures = likelihood.evaluate(
            model,
            read_split,
            FLAGS.split,
            progress=progress.update,
            given=FLAGS.given,
            batch_size=FLAGS.batch_size,
            window_steps=FLAGS.window_steps,
            slices=slices,
        )
    if FLAGS.skip_corrupt:
        figures["damaged_records_left_out"] = {k: len(v) for k, v in damaged.items()}
    return {"split": FLAGS.split, "data_id": info.id, **figures}


def _compare() -> dict[str, Any]:
    own_flags.require("reference")
    from poph_tf.evaluation import comparison, comparison_plots
    from poph_tf.rendering import figures, html

    if FLAGS.report_dir:
        files.ready_folder(FLAGS.report_dir)
    if FLAGS.blind_test:
        files.ready_output(FLAGS.blind_test)
    folder, split, style = Path(FLAGS.reference), FLAGS.split, FLAGS.style
    composed = comparison.load(Path(FLAGS.compare), split)
    if FLAGS.shuffle:
        composed = comparison.shuffled(composed, FLAGS.shuffle)
    reference = comparison.load(folder, split, FLAGS.max_reference, style)
    if (fewest := min(len(composed), len(reference))) < FEW_PIECES:
        print(
            f"note: {fewest} pieces say little: ranges are for {FEW_PIECES} and more.",
            file=sys.stderr,
        )
    training = None
    if comparison.is_records(folder) and FLAGS.train_split != split:
        training = comparison.load(folder, FLAGS.train_split, style=style)
    result = comparison.compare(composed, reference, training)
    if FLAGS.report_dir:
        report = Path(FLAGS.report_dir)
        comparison.write(result, report)
        figures.save(comparison_plots.measures(result), report / "measures.png")
        histograms = comparison_plots.histograms(result, composed, reference)
        figures.save(histograms, report / "histograms.png")
    if FLAGS.blind_test:
        files.write_output(
            FLAGS.blind_test, html.blind_test(composed.pieces, reference.pieces)
        )
    return comparison.figures(result)


def run() -> None:
    """Runs the command."""
    commands.run(main)


if __name__ == "__main__":
    run()
