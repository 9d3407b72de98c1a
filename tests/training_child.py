"""Training in a separate process: `forks.Fork(training_child.run_job, ...)`

Jobs:
    runs      trains in each given folder, on one replica or several logical CPUs, and
              dies of SIGKILL after the step `kill_at`, if given
    replicas  takes the same steps on one replica, on two logical CPUs, and on one
              replica in three slices, one of which has two windows
"""

import os
import signal

import keras
import numpy as np
import small
import tensorflow as tf

from poph_tf import config, models
from poph_tf.data import dataset
from poph_tf.training import distribution, optimizers, train_step
from poph_tf.training import trainer as trainer_lib


def run_job(tell, job, **arguments):
    """Runs a job and tells its result."""
    # Graphs this small run once or twice: optimizing takes longer than running.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    tell({"runs": runs, "replicas": replicas}[job](**arguments))


def runs(model_dirs, replicas=1, **settings):
    """Trains in two slices per step on one replica, or one slice on each replica."""
    strategy = tf.distribute.get_strategy() if replicas == 1 else mirrored(replicas)
    slices = 2 if replicas == 1 else 1
    return [run(strategy, slices, model_dir=name, **settings) for name in model_dirs]


def mirrored(replicas):
    """Splits the CPU into logical devices."""
    return distribution.make(
        config.DistributionConfig(strategy="mirrored", cpu_replicas=replicas)
    )


def run(strategy, slices, data_dir, model_dir, training_settings, kill_at=0):
    """Trains a small biaxial network with dropout; returns its steps and weights."""
    steps = []

    def on_step(step, _):
        steps.append(int(step))
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer = trainer_lib.Trainer(
        small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1),
        config.TrainingConfig(**training_settings),
        data_dir,
        model_dir,
        strategy,
        slices=slices,
    )
    outcome = trainer.run(report=lambda line: None, on_step=on_step)
    weights = [variable.numpy().ravel() for variable in trainer.model.variables]
    return {
        "steps": steps,
        "replicas": strategy.num_replicas_in_sync,
        "reason": outcome["reason"],
        "best_loss": outcome["best_loss"],
        "weights": np.concatenate(weights),
    }


def replicas(data_dir, training_settings, name):
    """Trains an epoch under each strategy, from the same weights."""
    settings = config.TrainingConfig(**training_settings)
    two = mirrored(2)
    _, paths = dataset.open_split(data_dir, "train")
    model_config = small.without_dropout(
        small.model_config(name, num_time_layers=1, num_pitch_layers=1)
    )
    stream = dataset.Stream(paths, model_config, settings)
    found = {}
    one = tf.distribute.get_strategy()
    ways = {"one": (one, 1), "two": (two, 1), "slices": (one, 3), "parts": (one, 1, 3)}
    for name, (strategy, *cuts) in ways.items():
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = models.build(model_config)
            optimizer = optimizers.make(settings)
            optimizer.build(model.trainable_variables)
        step = train_step.TrainStep(
            model, optimizer, strategy, settings.clip_norm, *cuts, any_length=True
        )
        batches = dataset.training_batches(stream, 0)
        sums = [
            {key: float(value) for key, value in step.run(batch).items()}
            for batch in strategy.experimental_distribute_dataset(batches)
        ]
        weights = np.concatenate([v.ravel() for v in model.get_weights()])
        found[name] = {"sums": sums, "weights": weights}
    return found | {"replicas": two.num_replicas_in_sync}
