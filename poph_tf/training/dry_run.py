"""Measures, in a few steps, what a training run needs; nothing is written."""

import time
from collections.abc import Mapping

import tensorflow as tf

from poph_tf.cli.progress import duration
from poph_tf.config import TrainingConfig
from poph_tf.data import dataset
from poph_tf.training.trainer import Trainer

# The first step also compiles; the fastest of the others counts.
NUM_STEPS = 3


def lines(trainer: Trainer) -> list[str]:
    """Takes a few steps of a run; returns its sizes, memory and time as text.

    All steps use one batch, the longest of the first few: shorter ones need less.

    Args:
        trainer: a run that has not started; its weights change.
    """
    batches = dataset.training_batches(trainer.stream, 0).take(dataset.POOL_BATCHES)
    batches = dataset.naming_damage(batches, trainer.stream.paths)
    longest = max(batches, key=lambda batch: batch["mask"].shape[1])
    seconds, nats = _take_steps(trainer, longest)
    model, training, best = trainer.model, trainer.training, min(seconds[1:])
    counts = [(layer.name, layer.count_params()) for layer in model.layers]
    return [
        "Dry run; nothing is written.",
        *(f"  {name:24s} {count:12,d}" for name, count in counts if count),
        f"Parameters: {model.count_params():,} "
        f"({model.count_params() * 4 / 2**20:.1f} MB in float32)",
        f"Longest of the first {dataset.POOL_BATCHES} batches: "
        f"{training.batch_size} windows of up to {training.window_steps} steps on "
        f"{trainer.strategy.num_replicas_in_sync} replica(s), {trainer.slices} "
        f"slice(s) of the batch on each: "
        + ", ".join(f"{name} {list(x.shape)}" for name, x in longest.items()),
        f"Epoch: about {trainer.steps_per_epoch} steps",
        f"First step: {seconds[0]:.1f} s (it compiles), {nats:.3f} nats/step",
        f"Step of such a batch: {best:.3f} s, {1 / best:.2f} steps/s",
        f"Memory: {_memory()}",
        whole_run(training, trainer.total_steps, best),
    ]


def whole_run(training: TrainingConfig, num_steps: int, seconds_per_step: float) -> str:
    """Projects what ends the run first, its steps or its minutes.

    Example:
        >>> whole_run(TrainingConfig(max_minutes=10.0), 1000, 2.0)
        'Whole run: 10 min (max_minutes), about 300 of 1000 steps'
    """
    seconds, limit = num_steps * seconds_per_step, 60 * training.max_minutes
    if 0 < limit < seconds:
        steps = limit / seconds_per_step
        end = f"{duration(limit)} (max_minutes), about {steps:.0f} of {num_steps} steps"
    else:
        end = (
            f"{num_steps} steps at most, about {duration(seconds)} without validations"
        )
    return f"Whole run: {end}"


def _take_steps(
    trainer: Trainer, batch: Mapping[str, tf.Tensor]
) -> tuple[list[float], float]:
    """Seconds of each step, and the first step's nats per step."""
    seconds, nats = [], []
    batches = tf.data.Dataset.from_tensors(batch).repeat(NUM_STEPS)
    for part in trainer.strategy.experimental_distribute_dataset(batches):
        start = time.perf_counter()
        sums = trainer.train_step.run(part)
        nats.append(float(sums["play_nats"]) / max(float(sums["steps"]), 1))
        seconds.append(time.perf_counter() - start)
    return seconds, nats[0]


def _memory() -> str:
    import resource  # Windows has none.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = f"{peak:.0f} MB at most in this process"
    for device in tf.config.list_logical_devices("GPU"):
        name = device.name.split("device:")[-1]
        used = tf.config.experimental.get_memory_info(name)["peak"] / 2**20
        text += f", {used:.0f} MB on {name}"
    return text
