r"""Measures log-likelihood on a piano-roll benchmark.

  python tools/benchmark_likelihood.py --dataset=jsb_chorales --data=jsb.npz \
      --preset=biaxial --seeds=5

Trains --seeds networks on the training split (choosing the best weights by the
validation split alone), scores whole pieces of valid and test, prints one JSON object
(log-likelihood in nats per step over 88 pitches, higher is better) and saves it in
--output_dir. If interrupted, it continues when started again. Reads .npz, .pickle and
.mat.

--dataset=jsb16 is the chorales in sixteenths with four separate voices (--data:
jsb16_separated.npz, --preset=poph3): nats per sixteenth, summed over the voices; also
those of three voices given the soprano, and of two given soprano and bass.
"""

import json
import shutil
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
from poph_tf.models import presets  # noqa: E402

FLAGS = flags.FLAGS
CHORALES = "jsb16"
flags.DEFINE_string("dataset", None, "Name of the benchmark, e.g. jsb_chorales.")
flags.DEFINE_string("data", None, "Its file: .npz, .pickle or .mat.")
flags.DEFINE_string("preset", "biaxial", "Preset of the model.")
flags.DEFINE_string("label", None, "Name of the result; default: the preset's name.")
flags.DEFINE_integer("seeds", 1, "Number of seeds: 0, 1, ...", lower_bound=1)
flags.DEFINE_integer("first_seed", 0, "The first seed.", lower_bound=0)
flags.DEFINE_multi_string("set", [], "key=value of the model; overrides its recipe.")
flags.DEFINE_multi_string("train", [], "key=value of training; overrides its recipe.")
flags.DEFINE_string("work_dir", "runs/likelihood", "Folder of the runs.")
flags.DEFINE_string("output_dir", str(ROOT / "results/likelihood"), "For results.")
own_flags.define_cores()
flags.DEFINE_bool("keep_weights", False, "Keep the best weights beside the result.")
flags.DEFINE_bool("evaluate_only", False, "Score the weights beside the result again.")
flags.DEFINE_bool(
    "valid_only", False, "Skip the test split, for choosing between settings."
)
flags.DEFINE_bool("summarize", False, "Print a table of all results and exit.")


def main(_: Sequence[str]) -> None:
    """Runs, scores again or summarizes a benchmark."""
    import_tensorflow()
    from poph_tf.data import piano_rolls
    from poph_tf.evaluation import likelihood_benchmark as benchmark
    from poph_tf.evaluation import results
    from poph_tf.evaluation.runs import Runner

    work_dir, output_dir = Path(FLAGS.work_dir), Path(FLAGS.output_dir)
    if FLAGS.summarize:
        print(benchmark.summarize(output_dir), end="")
        return
    _check_flags()
    name = (FLAGS.dataset, FLAGS.label or FLAGS.preset)
    data_dir = work_dir / FLAGS.dataset / "records"
    if FLAGS.dataset == CHORALES:
        voices = piano_rolls.read_voices(FLAGS.data)
        piano_rolls.write_voices(voices, FLAGS.dataset, data_dir)
    else:
        rolls = piano_rolls.read(FLAGS.data)
        piano_rolls.write_records(rolls, FLAGS.dataset, data_dir)
    path = output_dir / f"{'-'.join(name)}.json"
    weights = path.with_suffix(".keras")
    splits = ("valid",) if FLAGS.valid_only else benchmark.SCORED
    if FLAGS.evaluate_only:
        runner = Runner.prepare(work_dir, benchmark.SCORED_AT_ONCE, FLAGS.cores)
        figures = benchmark.score(data_dir, weights, runner.slices, splits)
        print(json.dumps({"dataset": name[0], "preset": name[1], **figures}))
        return
    model = config.parse_overrides(config.ModelConfig, FLAGS.set)
    training = config.parse_overrides(config.TrainingConfig, FLAGS.train)
    planned = benchmark.plan(name, FLAGS.preset, data_dir, model, training)
    runner = Runner.prepare(work_dir, planned.training.batch_size, FLAGS.cores)
    seeds = range(FLAGS.first_seed, FLAGS.first_seed + FLAGS.seeds)
    result = results.write(path, benchmark.run(planned, seeds, runner, splits))
    if FLAGS.keep_weights:
        best = planned.with_seed(result["best_by_valid"]["seed"])
        shutil.copyfile(runner.directory(best) / "model.keras", weights)
    print(json.dumps(result, indent=2))


def _check_flags() -> None:
    own_flags.require("dataset", "data")
    if FLAGS.preset not in presets.PRESETS:
        known = ", ".join(presets.PRESETS)
        raise InputError(f"--preset must be one of {known}, got {FLAGS.preset!r}.")
    label = FLAGS.label or FLAGS.preset
    if FLAGS.valid_only and label in presets.PRESETS:
        raise InputError(
            "--valid_only needs a --label that is not the name of a preset, so that "
            f"its result does not replace that of the preset; got {label!r}."
        )
    weights = Path(FLAGS.output_dir, f"{FLAGS.dataset}-{label}.keras")
    if FLAGS.evaluate_only and not weights.exists():
        raise InputError(
            f"There are no weights {weights}; a run with --keep_weights leaves them."
        )


if __name__ == "__main__":
    commands.run(main)
