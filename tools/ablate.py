r"""Trains the networks of an ablation study and writes a table and a picture.

  python tools/ablate.py --data=bach=data/bach --data=palestrina=data/palestrina \
      --overfit=data/midi/beethoven/movement.mid --seeds=3 --train=max_steps=600

Each --data is a folder of records; --overfit is one music file to memorize. All
networks get the same data, steps, seeds and settings; --set and --train change settings
of all of them, e.g. --set=num_time_units=64 on two cores. Each run writes one JSON file
to --output_dir and is not repeated; an interrupted run continues. --report makes the
table and the picture from the existing results.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf import config  # noqa: E402
from poph_tf.cli import commands  # noqa: E402
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.cli.quiet import import_tensorflow  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("data", [], "name=folder of records; repeatable.")
flags.DEFINE_string("overfit", None, "A music file to memorize.")
flags.DEFINE_list("variants", [], "Networks; all of them if not given.")
flags.DEFINE_integer("seeds", 1, "Number of seeds: 0, 1, ...", lower_bound=1)
flags.DEFINE_multi_string("set", [], "key=value for all networks; repeatable.")
flags.DEFINE_multi_string("train", [], "key=value for all trainings; repeatable.")
flags.DEFINE_integer("num_pieces", 8, "Pieces that each composes.", lower_bound=1)
flags.DEFINE_integer("num_bars", 16, "Bars of each of them.", lower_bound=1)
flags.DEFINE_string("work_dir", "runs/ablation", "Folder of the runs.")
flags.DEFINE_string("output_dir", str(ROOT / "results/ablation"), "For results.")
flags.DEFINE_string("page", str(ROOT / "docs/results/ablations.md"), "For the table.")
flags.DEFINE_string("picture", str(ROOT / "docs/images/ablation.png"), "For curves.")
own_flags.define_cores()
flags.DEFINE_bool("report", False, "Train nothing; write the table and the picture.")


def main(_: Sequence[str]) -> None:
    """Trains what is missing, then reports."""
    import_tensorflow()
    from poph_tf.evaluation import ablation, ablation_report
    from poph_tf.evaluation.runs import Runner
    from poph_tf.rendering import figures

    work_dir, output_dir = Path(FLAGS.work_dir), Path(FLAGS.output_dir)
    cases = [ablation.Case(*_name_and_folder(text)) for text in FLAGS.data]
    if FLAGS.overfit:
        cases.append(ablation.one_piece(Path(FLAGS.overfit), work_dir))
    if not cases and not FLAGS.report:
        raise InputError("Give --data=name=folder or --overfit=file; see --help.")
    model = config.parse_overrides(config.ModelConfig, FLAGS.set)
    if not FLAGS.report:
        training = config.parse_overrides(config.TrainingConfig, FLAGS.train)
        variants = FLAGS.variants or ablation.VARIANTS
        plans = [ablation.plan(c, v, model, training) for c in cases for v in variants]
        composed = config.GenerationConfig(
            num_pieces=FLAGS.num_pieces, num_bars=FLAGS.num_bars
        )
        batch_size = plans[0].training.batch_size
        runner = Runner.prepare(work_dir, batch_size, FLAGS.cores)
        # Seed by seed, so that results can be compared early.
        for seed, plan in itertools.product(range(FLAGS.seeds), plans):
            ablation.run(plan.with_seed(seed), composed, runner, output_dir)
    found = ablation_report.read(output_dir)
    real = {
        c.name: ablation.real_figures(ablation.plan(c, "poph", model)) for c in cases
    }
    text = ablation_report.table(found, ablation_report.keep_real(output_dir, real))
    ablation_report.write(Path(FLAGS.page), text)
    Path(FLAGS.picture).parent.mkdir(parents=True, exist_ok=True)
    figures.save(ablation_report.figure(found), FLAGS.picture)
    print(text)


def _name_and_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise InputError(f"--data must be name=folder, got {text!r}.")
    return name, Path(folder)


if __name__ == "__main__":
    commands.run(main)
