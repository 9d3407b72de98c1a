"""Metrics, collected as sums over valid steps and turned into means at the end.

Sums add up over batches, windows and replicas; means do not. Nats are per step: summed
over pitches, averaged over steps.
"""

from collections.abc import Mapping
from typing import SupportsFloat

import tensorflow as tf
from tensorflow import Tensor

from poph_tf.config import ModelConfig
from poph_tf.models import losses


def step_sums(
    outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], config: ModelConfig
) -> dict[str, Tensor]:
    """Sums the metrics of the valid steps of a batch.

    Args:
        outputs: float [batch, time, pitch] by name, a model's outputs.
        batch: `previous`, `current` [batch, time, pitch, 3] and `mask` [batch, time].
        config: The settings of the model.

    Returns:
        float32 scalars by name: `steps`, and the sums that `summarize` takes.
    """
    play, replay, _ = tf.unstack(batch["current"], axis=-1)
    mask = batch["mask"]
    terms = losses.likelihood_terms(outputs, batch["current"])
    per_step = {"steps": tf.ones_like(mask), "play_nats": terms["play"]}
    if "volume" in terms:
        per_step["volume_loss"] = terms["volume"]
    if "replay" in outputs:
        # Training weights replay by play; a score counts it only where it is possible,
        # because sampling forces 0 elsewhere.
        possible = losses.replay_possible(play, batch["previous"][..., 0])
        per_step["replay_nats"] = losses.replay_nats(
            possible, replay, tf.cast(outputs["replay"], tf.float32)
        )
    logits = tf.cast(outputs["play"], tf.float32)
    predicted = tf.cast(logits > 0, tf.float32)
    per_step["true_positives"] = tf.reduce_sum(predicted * play, axis=-1)
    per_step["predicted"] = tf.reduce_sum(predicted, axis=-1)
    per_step["sounding"] = tf.reduce_sum(play, axis=-1)
    per_step["harmony"] = losses.harmony(
        tf.sigmoid(logits), config.min_pitch, config.minor_scale
    )
    return {name: tf.reduce_sum(value * mask) for name, value in per_step.items()}


def summarize(
    sums: Mapping[str, SupportsFloat], config: ModelConfig
) -> dict[str, float | None]:
    """Turns sums into means.

    Args:
        sums: Totals of the sums of `step_sums`, by name.
        config: The settings of the model.

    Returns:
        Numbers by name, None for what the model lacks. `loss` is play, replay (where
        possible) and volume, plus lambda times the harmony term.
    """
    totals = {name: float(value) for name, value in sums.items()}
    steps = max(totals["steps"], 1.0)
    means = {name: total / steps for name, total in totals.items()}
    loss = means["play_nats"] + means.get("replay_nats", 0.0)
    loss += means.get("volume_loss", 0.0) + config.harmony_weight * means["harmony"]
    sounding = totals["sounding"]
    volume = totals["volume_loss"] / max(sounding, 1.0) if config.volume else None
    return {
        "loss": loss,
        "play_nats_per_step": means["play_nats"],
        "replay_nats_per_step": means.get("replay_nats"),
        "volume_mse": volume,
        "play_f1": f1(totals["true_positives"], totals["predicted"], sounding),
        "harmony": means["harmony"],
        "num_steps": int(totals["steps"]),
    }


def f1(true_positives: float, predicted: float, actual: float) -> float:
    """Computes the harmonic mean of precision and recall.

    Returns:
        0 to 1; 1 if nothing is predicted and there is nothing to find.

    Example:
        >>> f1(2, predicted=4, actual=4)
        0.5
    """
    total = predicted + actual
    return 2.0 * true_positives / total if total else 1.0
