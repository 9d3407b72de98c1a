"""Trains the networks of an ablation and writes a table and a picture.

  python tools/ablate.py --data=bach=data/bach --data=palestrina=data/palestrina \\
      --overfit=data/midi/beethoven/movement.mid --seeds=3 --train=max_steps=600

Each --data is a folder of records; --overfit is one music file, to be learned by heart.
All networks get the same data, steps, seeds and settings; --set and --train replace
settings for all of them, e.g. --set=num_time_units=64 on two cores. Each run leaves one
JSON file in --output_dir; those that are there are not run again, and one that was
stopped goes on. --report makes the table and the picture from what is there.
"""

import functools
import os
import pathlib
import sys

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.cli.quiet import import_tensorflow  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("data", [], "name=folder of records; repeatable.")
flags.DEFINE_string("overfit", None, "A music file, all that there is to learn.")
flags.DEFINE_list("variants", [], "Which networks; all of them if not given.")
flags.DEFINE_integer("seeds", 1, "How many seeds: 0, 1, ...", lower_bound=1)
flags.DEFINE_multi_string("set", [], "key=value of all networks; repeatable.")
flags.DEFINE_multi_string("train", [], "key=value of all trainings; repeatable.")
flags.DEFINE_integer("num_pieces", 8, "Pieces that each composes.", lower_bound=1)
flags.DEFINE_integer("num_bars", 16, "Bars of each of them.", lower_bound=1)
flags.DEFINE_string("work_dir", "runs/ablation", "Where runs are kept.")
flags.DEFINE_string("output_dir", str(ROOT / "results" / "ablation"), "For results.")
flags.DEFINE_string(
    "page", str(ROOT / "docs" / "results" / "ablations.md"), "Gets the table."
)
flags.DEFINE_string(
    "picture", str(ROOT / "docs" / "images" / "ablation.png"), "Gets the curves."
)
own_flags.define_cores()
flags.DEFINE_bool("report", False, "Train nothing; write table and picture and end.")


def main(argv):
    del argv
    import_tensorflow()
    from poph_tf.evaluation import ablation, ablation_report

    cases = _cases(ablation)
    if not cases and not FLAGS.report:
        raise InputError("Give --data=name=folder or --overfit=file; see --help.")
    if not FLAGS.report:
        _run_all(ablation, cases)
    results = ablation_report.read(FLAGS.output_dir)
    found = {case.name: _real(ablation, case) for case in cases}
    real = ablation_report.keep_real(FLAGS.output_dir, found)
    text = ablation_report.table(results, real)
    ablation_report.write(FLAGS.page, text)
    ablation_report.plot(results, FLAGS.picture)
    print(text)
    return 0


def _cases(ablation):
    cases = []
    for assignment in FLAGS.data:
        name, equals, folder = assignment.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--data must be name=folder, got {assignment!r}.")
        cases.append(ablation.Case(name, folder))
    if FLAGS.overfit:
        cases.append(ablation.one_piece(FLAGS.overfit, FLAGS.work_dir))
    return cases


def _run_all(ablation, cases):
    from poph_tf import config
    from poph_tf.models import slices as slices_lib

    variants = FLAGS.variants or list(ablation.VARIANTS)
    unknown = sorted(set(variants) - set(ablation.VARIANTS))
    if unknown:
        known = ", ".join(ablation.VARIANTS)
        raise InputError(f"--variants must be of {known}; got {', '.join(unknown)}.")
    overrides = config.parse_overrides(config.ModelConfig, FLAGS.set)
    training = config.parse_overrides(config.TrainingConfig, FLAGS.train)
    batch_size = training.get("batch_size", ablation.TRAINING.batch_size)
    slices = slices_lib.prepare(batch_size, FLAGS.cores)
    composing = ablation.Composing(FLAGS.num_pieces, FLAGS.num_bars)
    report = functools.partial(print, file=sys.stderr, flush=True)
    # Seed by seed, so that there is something to compare early.
    for seed in range(FLAGS.seeds):
        for case in cases:
            for variant in variants:
                planned = ablation.plan(case, variant, overrides, training)
                report(f"{case.name}, {variant}, seed {seed}")
                what = (case, variant, planned, seed, _paths(case, variant, seed))
                ablation.run(*what, composing, slices, report)


def _paths(case, variant, seed):
    run_dir = os.path.join(FLAGS.work_dir, case.name, variant, f"seed-{seed}")
    name = f"{case.name}-{variant}-seed-{seed}.json"
    return run_dir, os.path.join(FLAGS.output_dir, name)


def _real(ablation, case):
    from poph_tf import config

    overrides = config.parse_overrides(config.ModelConfig, FLAGS.set)
    return ablation.real_figures(case, ablation.plan(case, "poph", overrides)[0])


if __name__ == "__main__":
    commands.run(main)
