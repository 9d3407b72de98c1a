"""Figures of merit, gathered as sums over valid steps and turned into means at the end.

Sums add up over batches, windows and replicas; means do not. The unit of the nats is
nats per step: summed over pitches, averaged over steps.
"""

import tensorflow as tf

from poph_tf.models import losses


def step_sums(outputs, batch, config):
    """Adds up over the valid steps of a batch.

    Args:
        outputs: dict of float [batch, time, pitch], a model's outputs.
        batch: dict with `previous`, `current` [batch, time, pitch, 3] and `mask`
            [batch, time].
        config: ModelConfig.

    Returns:
        dict of float32 scalars: `steps`, and sums for the figures of `summarize`.
    """
    play, replay, _ = tf.unstack(batch["current"], axis=-1)
    mask = batch["mask"]
    # Training weighs replay by play (the seed's loss); a score counts it only where
    # it is possible, since sampling forces 0 elsewhere.
    terms = losses.likelihood_terms(outputs, batch["current"])
    per_step = {"steps": tf.ones_like(mask), "play_nats": terms["play"]}
    if "volume" in terms:
        per_step["volume_loss"] = terms["volume"]
    if "replay" in outputs:
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


def summarize(sums, config):
    """Turns sums into figures.

    Args:
        sums: mapping of name to number, as `step_sums` names them, added up.
        config: ModelConfig.

    Returns:
        dict of float; None for what the model lacks. `loss` is play, replay (where
        possible) and volume, plus lambda times the harmony term.
    """
    steps = max(float(sums["steps"]), 1.0)
    sounding = float(sums["sounding"])

    def mean(name):
        return float(sums[name]) / steps if name in sums else None

    loss = mean("play_nats") + (mean("replay_nats") or 0.0)
    loss += (mean("volume_loss") or 0.0) + config.harmony_weight * mean("harmony")
    volume = float(sums["volume_loss"]) / max(sounding, 1.0) if config.volume else None
    return {
        "loss": loss,
        "play_nats_per_step": mean("play_nats"),
        "replay_nats_per_step": mean("replay_nats"),
        "volume_mse": volume,
        "play_f1": f1(sums["true_positives"], sums["predicted"], sounding),
        "harmony": mean("harmony"),
        "num_steps": int(sums["steps"]),
    }


def f1(true_positives, predicted, actual):
    """Harmonic mean of precision and recall; 1.0 where there is nothing to find."""
    total = float(predicted) + float(actual)
    return 2.0 * float(true_positives) / total if total else 1.0
