"""Trains a model: python -m poph_tf.train --data_dir=data/x --model_dir=runs/x

Reads the records that tools/make_tfrecords.py wrote, and leaves in --model_dir the best
weights (model.keras), the settings (config.json), checkpoints, metrics.jsonl and
TensorBoard logs. Start the same command again and it goes on where it was. Exit codes:
0 the run has ended, 2 something given was wrong, 75 start again (SIGTERM or Ctrl-C came
and all is saved, or another worker was lost).

On several hosts start the same command on each, with --strategy=multi_worker_mirrored
and either TF_CONFIG or --worker_hosts=a:2222,b:2222 --worker_index=0 (1 on the second).
--dry_run takes a few steps, tells sizes, memory and time, and writes nothing.

Every size and setting of a preset can be replaced, e.g.
  --preset=deepj --set=num_time_units=128 --set=dropout=0.3
and every setting of training likewise with --train=key=value, or by its own flag.
With --init_from=scores it starts from the weights of a trained model, of whose sizes it
then is; the styles of the data are added to those that the model knows.
"""

import os

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.quiet import import_tensorflow
from poph_tf.config import TrainingConfig
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
PRESET_NAMES = "tp_lstm_nade, biaxial, deepj, poph, poph2"

flags.DEFINE_string("data_dir", None, "Folder of records with dataset_info.json.")
flags.DEFINE_string("model_dir", None, "Where the model and its checkpoints are kept.")
flags.DEFINE_string(
    "preset",
    "poph",
    f"The model to train: {PRESET_NAMES}; left out with --init_from: its own.",
)
flags.DEFINE_multi_string(
    "set", [], "key=value of the model, e.g. --set=num_time_units=128; repeatable."
)
flags.DEFINE_multi_string(
    "train", [], "key=value of training, e.g. --train=ema_decay=0.999; repeatable."
)
flags.DEFINE_string(
    "strategy",
    "default",
    "default, one_device, mirrored (all GPUs; the batch is split among them), or "
    "multi_worker_mirrored (several processes, see --worker_hosts).",
)
own_flags.define_cores()
flags.DEFINE_integer(
    "cpu_replicas", 0, "With --strategy=mirrored: split the CPU into so many devices."
)
flags.DEFINE_list(
    "worker_hosts", [], "host:port of every worker, the chief first; else TF_CONFIG."
)
flags.DEFINE_integer("worker_index", 0, "Place of this worker in --worker_hosts.")
flags.DEFINE_bool("dry_run", False, "Tell what the run needs; write nothing.")

PREVIEW_BARS = 4  # unless something else is asked for
own_flags.define(TrainingConfig, unset=True)


def main(argv):
    del argv
    own_flags.require("data_dir", *(() if FLAGS.dry_run else ("model_dir",)))
    from poph_tf import config
    from poph_tf.data import examples

    training_values = {"preview_bars": PREVIEW_BARS}
    training_values |= config.parse_overrides(config.TrainingConfig, FLAGS.train)
    training_values |= own_flags.values(TrainingConfig, given_only=True)
    training_config = config.TrainingConfig(**training_values)
    # A wrong preset or setting is said before anything is read.
    overrides = config.parse_overrides(config.ModelConfig, FLAGS.set)
    model_config = config.preset(FLAGS.preset, **overrides)
    info = examples.read_info(FLAGS.data_dir)
    model_config = model_config.with_styles(info)
    import_tensorflow()
    if training_config.init_from and not FLAGS["preset"].present:
        from poph_tf.training import finetuning

        model_config = finetuning.config_of(
            training_config.init_from, FLAGS.model_dir or os.devnull, info, overrides
        )
    _train(model_config, training_config)
    return 0


def _train(model_config, training_config):
    from poph_tf.cli.progress import StepLine
    from poph_tf.training import distribution, dry_run
    from poph_tf.training import trainer as trainer_lib

    slices = _slices(training_config.batch_size)
    strategy = distribution.make(
        FLAGS.strategy, FLAGS.cpu_replicas, FLAGS.worker_hosts, FLAGS.worker_index
    )
    # A dry run needs no folder; in this one nothing is found, and nothing is made.
    model_dir = FLAGS.model_dir or os.devnull
    trainer = trainer_lib.Trainer(
        model_config, training_config, FLAGS.data_dir, model_dir, strategy, slices
    )
    if FLAGS.dry_run:
        print("\n".join(dry_run.lines(trainer)))
        return
    cluster = trainer.cluster
    print(
        f"{model_config.preset}: {trainer.model.count_params():,} parameters, about "
        f"{trainer.steps_per_epoch} steps an epoch, "
        f"{strategy.num_replicas_in_sync} replica(s), {slices} slice(s) of the batch "
        f"on each, worker {cluster.index + 1} of {cluster.num_workers}.",
        flush=True,
    )
    if not cluster.chief:
        # The chief speaks for all.
        trainer.run(report=lambda text: None)
        return
    line = StepLine(trainer.steps_per_epoch, trainer.total_steps)
    result = trainer.run(report=line.print, on_step=line.step)
    print(
        f"Done at step {result['step']}: {result['reason']}. Best validation loss "
        f"{result['best_loss']:.4f}; the model is {FLAGS.model_dir}/model.keras."
    )


def _slices(batch_size):
    """Into how many slices a batch is cut; sets TensorFlow's threads for it."""
    from poph_tf.models import slices as slices_lib
    from poph_tf.training import run_log

    begun = run_log.slices_of(FLAGS.model_dir or os.devnull)
    if not FLAGS.cpu_replicas and FLAGS.strategy != "multi_worker_mirrored":
        return slices_lib.prepare(batch_size, FLAGS.cores, begun)
    # There the replicas share the cores.
    if FLAGS.cores:
        raise InputError(
            f"--cores goes with one replica on one CPU, got {FLAGS.cores} with "
            f"--strategy={FLAGS.strategy} --cpu_replicas={FLAGS.cpu_replicas}; leave "
            f"it out."
        )
    return begun or 1


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
