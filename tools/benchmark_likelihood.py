"""Log-likelihood on a piano-roll benchmark, by one command:

  python tools/benchmark_likelihood.py --dataset=jsb_chorales --data=jsb.npz \\
      --preset=biaxial --seeds=5

Trains --seeds networks on the training split (best weights by the validation split
alone), scores whole pieces of valid and test, prints one JSON object (log-likelihood
in nats per step over 88 pitches, higher is better) and keeps it in --output_dir. Goes
on where it was when started again. Reads .npz, .pickle and .mat.
"""

import functools
import json
import os
import pathlib
import shutil
import sys

from absl import flags

from poph_tf.models import presets

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.cli.quiet import import_tensorflow  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Name of the benchmark, e.g. jsb_chorales.")
flags.DEFINE_string("data", None, "Its file: .npz, .pickle or .mat.")
flags.DEFINE_string("preset", "biaxial", "Which model.")
flags.DEFINE_string("label", None, "Name of the result; the preset's if not given.")
flags.DEFINE_integer("seeds", 1, "How many seeds: 0, 1, ...", lower_bound=1)
flags.DEFINE_integer("first_seed", 0, "Number of the first seed.", lower_bound=0)
flags.DEFINE_multi_string("set", [], "key=value of the model, beyond its recipe.")
flags.DEFINE_multi_string("train", [], "key=value of training, beyond its recipe.")
flags.DEFINE_string("work_dir", "runs/likelihood", "Where runs are kept.")
flags.DEFINE_string("output_dir", str(ROOT / "results" / "likelihood"), "For results.")
own_flags.define_cores()
flags.DEFINE_bool("keep_weights", False, "Keep the best weights beside the result.")
flags.DEFINE_bool("evaluate_only", False, "Score the weights beside the result again.")
flags.DEFINE_bool(
    "valid_only", False, "Leave the test split alone, to choose between settings."
)
flags.DEFINE_bool("summarize", False, "Print the table of all results and end.")


def main(argv):
    del argv
    import_tensorflow()
    from poph_tf.data import piano_rolls
    from poph_tf.evaluation import likelihood_benchmark as benchmark
    from poph_tf.models import slices as slices_lib

    if FLAGS.summarize:
        print(benchmark.summarize(FLAGS.output_dir))
        return 0
    own_flags.require("dataset", "data")
    if FLAGS.preset not in presets.PRESETS:
        known = ", ".join(presets.PRESETS)
        raise InputError(f"--preset must be one of {known}, got {FLAGS.preset!r}.")
    if FLAGS.valid_only and (FLAGS.label or FLAGS.preset) in presets.PRESETS:
        raise InputError(
            "--valid_only needs a --label that is no preset's name, so that its result "
            f"does not take the place of the preset's own; got {FLAGS.label!r}."
        )
    data_dir = os.path.join(FLAGS.work_dir, FLAGS.dataset, "records")
    piano_rolls.write_records(piano_rolls.read(FLAGS.data), FLAGS.dataset, data_dir)
    label = FLAGS.label or FLAGS.preset
    stem = os.path.join(FLAGS.output_dir, f"{FLAGS.dataset}-{label}")
    if FLAGS.evaluate_only:
        if not os.path.exists(f"{stem}.keras"):
            raise InputError(
                f"There are no weights {stem}.keras; a run with --keep_weights "
                f"leaves them."
            )
        # The weights kept are those of the best seed by validation.
        slices = slices_lib.prepare(benchmark.SCORED_AT_ONCE, FLAGS.cores)
        figures = benchmark.score(data_dir, f"{stem}.keras", slices, _splits(benchmark))
        print(json.dumps({"dataset": FLAGS.dataset, "preset": label} | figures))
        return 0
    figures = _run(benchmark, data_dir, label)
    _keep(benchmark, figures, stem, label)
    print(json.dumps(figures, indent=2))
    return 0


def _run(benchmark, data_dir, label):
    from poph_tf import config
    from poph_tf.data import examples
    from poph_tf.models import slices as slices_lib

    planned = benchmark.plan(
        FLAGS.preset,
        examples.read_info(data_dir).splits["train"],
        config.parse_overrides(config.ModelConfig, FLAGS.set),
        config.parse_overrides(config.TrainingConfig, FLAGS.train),
    )
    slices = slices_lib.prepare(planned[1].batch_size, FLAGS.cores)
    splits = _splits(benchmark)
    results = []
    for seed in range(FLAGS.first_seed, FLAGS.first_seed + FLAGS.seeds):
        run_dir = os.path.join(FLAGS.work_dir, FLAGS.dataset, label, f"seed-{seed}")
        report = functools.partial(print, file=sys.stderr, flush=True)
        results.append(
            benchmark.run_seed(data_dir, run_dir, planned, seed, slices, splits, report)
        )
    used = {"model": planned[0].to_dict(), "training": planned[1].to_dict()}
    figures = benchmark.combine(FLAGS.dataset, label, results, used)
    extra = {"data": benchmark.sizes(data_dir)}
    if "test" in splits:
        extra["marginal_test"] = benchmark.marginal(data_dir)
    return figures | extra


def _splits(benchmark):
    return ("valid",) if FLAGS.valid_only else benchmark.SCORED


def _keep(benchmark, figures, stem, label):
    os.makedirs(FLAGS.output_dir, exist_ok=True)
    benchmark.provenance.write_json(f"{stem}.json", figures)
    if FLAGS.keep_weights:
        seed = figures["best_by_valid"]["seed"]
        run_dir = os.path.join(FLAGS.work_dir, FLAGS.dataset, label, f"seed-{seed}")
        shutil.copyfile(os.path.join(run_dir, "model.keras"), f"{stem}.keras")


if __name__ == "__main__":
    commands.run(main)
