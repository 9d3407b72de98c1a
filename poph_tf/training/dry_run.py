"""What a training run needs, found out by a few steps that leave nothing behind."""

import resource
import time

import tensorflow as tf

from poph_tf.cli.progress import duration
from poph_tf.data import dataset

# The first step also compiles; the fastest of the others is what a step takes.
NUM_STEPS = 3


def lines(trainer, parameters_of_layers=True):
    """Takes a few steps of a run and tells its sizes, memory and time.

    Args:
        trainer: training.Trainer; its weights change, nothing is written.
        parameters_of_layers: bool. Whether to list the layers' parameters.

    Returns:
        list of str, lines of text.
    """
    seconds, shapes, nats = _take_steps(trainer)
    model, training = trainer.model, trainer.training
    best = min(seconds[1:] or seconds)
    text = ["Dry run; nothing is written."]
    if parameters_of_layers:
        counted = [(layer.name, layer.count_params()) for layer in model.layers]
        text += [f"  {name:24s} {count:12,d}" for name, count in counted if count]
    text += [
        f"Parameters: {model.count_params():,} "
        f"({model.count_params() * 4 / 2**20:.1f} MB in float32)",
        f"Longest of the first {dataset.POOL_BATCHES} batches: "
        f"{training.batch_size} windows of up to {training.window_steps} steps on "
        f"{trainer.strategy.num_replicas_in_sync} replica(s), {trainer.slices} "
        f"slice(s) of the batch on each: "
        + ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()),
        f"Epoch: about {trainer.steps_per_epoch} steps",
        f"First step: {seconds[0]:.1f} s (it compiles), {nats:.3f} nats/step",
        f"Step of such a batch: {best:.3f} s, {1 / best:.2f} steps/s",
        f"Memory: {_memory()}",
        whole_run(training, trainer.total_steps, best),
    ]
    return text


def whole_run(training, num_steps, seconds_per_step):
    """The projection: what ends the run first, its steps or its minutes."""
    seconds, limit = num_steps * seconds_per_step, 60 * training.max_minutes
    if 0 < limit < seconds:
        return (
            f"Whole run: {duration(limit)} (max_minutes), about "
            f"{limit / seconds_per_step:.0f} of {num_steps} steps"
        )
    return (
        f"Whole run: {num_steps} steps at most, about {duration(seconds)} without "
        f"the validations"
    )


def _take_steps(trainer):
    """Returns (seconds of each step, shapes of the batch by name, first nats/step).

    All steps take one batch, the longest of the first few: shorter ones need less.
    """
    batches = dataset.training_batches(trainer.stream, 0).take(dataset.POOL_BATCHES)
    batches = dataset.naming_damage(batches, trainer.stream.paths)
    longest = max(batches, key=lambda batch: batch["mask"].shape[1])
    shapes = {name: x.shape for name, x in longest.items()}
    seconds, nats = [], None
    repeated = tf.data.Dataset.from_tensors(longest).repeat(NUM_STEPS)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    repeated = repeated.with_options(options)
    for batch in trainer.strategy.experimental_distribute_dataset(repeated):
        start = time.perf_counter()
        sums = {name: float(value) for name, value in trainer.step.run(batch).items()}
        seconds.append(time.perf_counter() - start)
        nats = nats if nats is not None else sums["play_nats"] / max(sums["steps"], 1)
    return seconds, shapes, nats


def _memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = f"{peak:.0f} MB at most in this process"
    for device in tf.config.list_logical_devices("GPU"):
        name = device.name.split("device:")[-1]
        used = tf.config.experimental.get_memory_info(name)["peak"] / 2**20
        text += f", {used:.0f} MB on {name}"
    return text
