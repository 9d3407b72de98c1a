"""Trains a model.

  python -m poph_tf.train --data_dir=data/x --model_dir=runs/x

Reads the records that tools/make_tfrecords.py wrote, and writes to --model_dir the best
weights (model.keras), the settings (config.json), checkpoints, metrics.jsonl and
TensorBoard logs. To continue a run, start the same command again. Exit codes: 0 the run
has ended, 1 the loss exploded, 2 the input is wrong, 75 start again (after SIGTERM or
Ctrl-C, with everything saved, or after the loss of another worker).

On several hosts start the same command on each, with --strategy=multi_worker_mirrored
and either TF_CONFIG or --worker_hosts=a:2222,b:2222 --worker_index=0 (1 on the second).
--dry_run runs a few steps, prints sizes, memory and time, and writes nothing.

Every size and setting of a preset can be replaced, e.g.
  --preset=deepj --set=num_time_units=128 --set=dropout=0.3
and every setting of training with --train=key=value, or by its own flag. With
--init_from=scores training starts from the weights of a trained model: layer sizes are
taken from that model, and the styles of the data are added to those that it knows.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from poph_tf import config
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import DistributionConfig, ModelConfig, TrainingConfig
from poph_tf.errors import InputError
from poph_tf.models import presets

FLAGS = flags.FLAGS
PREVIEW_BARS = 4  # unless the flag gives another number
# For dry runs, which have no folder: nothing can be found in it or written to it.
NO_FOLDER = os.devnull

flags.DEFINE_string("data_dir", None, "Data set: a folder with dataset_info.json.")
flags.DEFINE_string("model_dir", None, "Folder of the model and its checkpoints.")
flags.DEFINE_string(
    "preset",
    "poph",
    f"The model to train: {', '.join(presets.PRESETS)}. With --init_from, the settings "
    f"are those of the model it names unless a preset is given.",
)
flags.DEFINE_multi_string(
    "set",
    [],
    "Model setting key=value, such as num_heads=2; repeatable; --set=help lists all.",
)
flags.DEFINE_multi_string(
    "train",
    [],
    "Training setting key=value; repeatable; --train=help lists all.",
)
flags.DEFINE_bool("dry_run", False, "Print what the run would need, and write nothing.")
own_flags.define_cores()
own_flags.define_force()
own_flags.define(DistributionConfig)
own_flags.define(TrainingConfig, unset=True)


def main(_: Sequence[str]) -> int:
    """Trains the model that the flags describe."""
    for given, cls in ((FLAGS.set, ModelConfig), (FLAGS.train, TrainingConfig)):
        if given == ["help"]:
            print(config.listing(cls))
            return 0
    own_flags.require("data_dir", *(() if FLAGS.dry_run else ("model_dir",)))
    training = TrainingConfig(
        **{"preview_bars": PREVIEW_BARS}
        | config.parse_overrides(TrainingConfig, FLAGS.train)
        | own_flags.values(TrainingConfig, given_only=True)
    )
    distribution_config = DistributionConfig(**own_flags.values(DistributionConfig))
    _train(_model_config(training), training, distribution_config)
    return 0


def _model_config(training: TrainingConfig) -> ModelConfig:
    from poph_tf.data import examples

    overrides = config.parse_overrides(ModelConfig, FLAGS.set)
    # Settings are checked before any file is read.
    model_config = config.preset(FLAGS.preset, **overrides)
    info = examples.read_info(FLAGS.data_dir)
    import_tensorflow()
    if not training.init_from or FLAGS["preset"].present:
        return model_config.with_data(info)
    from poph_tf.training import finetuning

    model_dir = FLAGS.model_dir or NO_FOLDER
    return finetuning.config_of(training.init_from, model_dir, info, overrides)


def _train(
    model_config: ModelConfig,
    training: TrainingConfig,
    distribution_config: DistributionConfig,
) -> None:
    from poph_tf.cli.progress import Progress
    from poph_tf.training import distribution, dry_run
    from poph_tf.training.trainer import Trainer

    slices = _slices(training.batch_size, distribution_config)
    strategy = distribution.make(distribution_config)
    folders = FLAGS.data_dir, FLAGS.model_dir or NO_FOLDER
    trainer = Trainer(model_config, training, *folders, strategy, slices, FLAGS.force)
    if FLAGS.dry_run:
        print("\n".join(dry_run.lines(trainer)))
        return
    cluster, epoch = trainer.cluster, trainer.steps_per_epoch
    text = (
        f"{model_config.preset}: {trainer.model.count_params():,} parameters, about "
        f"{epoch} steps per epoch, {strategy.num_replicas_in_sync} replica(s), "
        f"{slices} slice(s) of the batch on each, worker {cluster.index + 1} of "
        f"{cluster.num_workers}."
    )
    print(text, flush=True)
    # The chief reports for all workers.
    stream = sys.stdout if cluster.chief else None
    with Progress(trainer.total_steps, "steps", stream) as progress:

        def show(step: int, sums: Mapping[str, float]) -> None:
            nats = sums["play_nats"] / max(sums["steps"], 1)
            epochs = trainer.counters.epochs_done(epoch)
            progress.update(step, f"epoch {epochs:.1f}  {nats:.3f} nats/step")

        result = trainer.run(progress.print, show)
    if not cluster.chief:
        return
    print(
        f"Done at step {result['step']}: {result['reason']}. Best validation loss "
        f"{result['best_loss']:.4f} (all outputs; nats/step above are of play alone); "
        f"the model is {FLAGS.model_dir}/model.keras."
    )


def _slices(batch_size: int, distribution: DistributionConfig) -> int:
    """The number of slices of a batch; sets TensorFlow's threads for it."""
    from poph_tf.models import slices
    from poph_tf.training import run_log

    begun = run_log.slices_of(FLAGS.model_dir or NO_FOLDER)
    replicas = distribution.cpu_replicas
    if not replicas and distribution.strategy != "multi_worker_mirrored":
        return slices.prepare(batch_size, FLAGS.cores, begun)
    # Replicas share the cores among themselves.
    if FLAGS.cores:
        raise InputError(
            f"--cores needs one replica on one CPU, got {FLAGS.cores} with "
            f"--strategy={distribution.strategy} --cpu_replicas={replicas}; leave it "
            f"out."
        )
    return begun or 1


def run() -> None:
    """Runs the command."""
    commands.run(main)


if __name__ == "__main__":
    run()
