r"""Trains the networks of an ablation and writes a table and a picture.

  python tools/ablate.py --data=bach=data/bach --data=palestrina=data/palestrina \
      --overfit=data/midi/beethoven/movement.mid --seeds=3 --train=max_steps=600

Each --data is a folder of records; --overfit is one music file to learn by heart. All
networks get the same data, steps, seeds and settings; --set and --train replace
settings of all of them, e.g. --set=num_time_units=64 on two cores. Each run leaves one
JSON file in --output_dir and is not run again; a stopped run continues. --report makes
the table and the picture from the results that exist.
"""

import functools
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf import config  # noqa: E402
from poph_tf.cli import commands  # noqa: E402
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.cli.quiet import import_tensorflow  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

if TYPE_CHECKING:
    from poph_tf.evaluation import ablation

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("data", [], "name=folder of records; repeatable.")
flags.DEFINE_string("overfit", None, "A music file to learn by heart.")
flags.DEFINE_list("variants", [], "Networks; all of them if not given.")
flags.DEFINE_integer("seeds", 1, "Number of seeds: 0, 1, ...", lower_bound=1)
flags.DEFINE_multi_string("set", [], "key=value of all networks; repeatable.")
flags.DEFINE_multi_string("train", [], "key=value of all trainings; repeatable.")
flags.DEFINE_integer("num_pieces", 8, "Pieces that each composes.", lower_bound=1)
flags.DEFINE_integer("num_bars", 16, "Bars of each of them.", lower_bound=1)
flags.DEFINE_string("work_dir", "runs/ablation", "Folder of the runs.")
flags.DEFINE_string("output_dir", str(ROOT / "results/ablation"), "For results.")
flags.DEFINE_string("page", str(ROOT / "docs/results/ablations.md"), "Gets the table.")
flags.DEFINE_string("picture", str(ROOT / "docs/images/ablation.png"), "Gets curves.")
own_flags.define_cores()
flags.DEFINE_bool("report", False, "Train nothing; write the table and the picture.")


def main(_: Sequence[str]) -> None:
    r"""Trains what is missing, then reports."""
    import_tensorflow()
    from poph_tf.evaluation import ablation, ablation_report
    from poph_tf.rendering import figures

    output_dir, picture = Path(FLAGS.output_dir), Path(FLAGS.picture)
    cases = [ablation.Case(*_name_and_folder(text)) for text in FLAGS.data]
    if FLAGS.overfit:
        work_dir = Path(FLAGS.work_dir)
        cases.append(ablation.one_piece(Path(FLAGS.overfit), work_dir))
    if not cases and not FLAGS.report:
        raise InputError("Give --data=name=folder or --overfit=file; see --help.")
    overrides = config.parse_overrides(config.ModelConfig, FLAGS.set)
    if not FLAGS.report:
        _run_all(cases, overrides, output_dir)
    found = ablation_report.read(output_dir)
    plans = {case.name: ablation.plan(case, "poph", overrides) for case in cases}
    real = {name: ablation.real_figures(plan) for name, plan in plans.items()}
    text = ablation_report.table(found, ablation_report.keep_real(output_dir, real))
    ablation_report.write(Path(FLAGS.page), text)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figures.save(ablation_report.figure(found), picture)
    print(text)


def _name_and_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise InputError(f"--data must be name=folder, got {text!r}.")
    return name, Path(folder)


def _run_all(
    cases: Sequence["ablation.Case"],
    overrides: Mapping[str, Any],
    output_dir: Path,
) -> None:
    from poph_tf.evaluation import ablation
    from poph_tf.models import slices as slices_lib

    variants = FLAGS.variants or list(ablation.VARIANTS)
    if unknown := sorted(set(variants) - set(ablation.VARIANTS)):
        known = ", ".join(ablation.VARIANTS)
        raise InputError(f"--variants must be of {known}; got {', '.join(unknown)}.")
    training = config.parse_overrides(config.TrainingConfig, FLAGS.train)
    batch_size = training.get("batch_size", ablation.TRAINING.batch_size)
    slices = slices_lib.prepare(batch_size, FLAGS.cores)
    composed = config.GenerationConfig(
        num_pieces=FLAGS.num_pieces, num_bars=FLAGS.num_bars
    )
    report = functools.partial(print, file=sys.stderr, flush=True)
    folders = Path(FLAGS.work_dir), output_dir
    # Seed by seed, so that there is something to compare early.
    for seed, case, variant in itertools.product(range(FLAGS.seeds), cases, variants):
        report(f"{case.name}, {variant}, seed {seed}")
        plan = ablation.plan(case, variant, overrides, training)
        ablation.run(plan.with_seed(seed), composed, *folders, slices, report)


if __name__ == "__main__":
    commands.run(main)
