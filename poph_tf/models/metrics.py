"""Metrics, collected as sums over valid steps and turned into means at the end.

Sums add up over batches, windows and replicas; means do not. Nats are per step: summed
over pitches, averaged over steps.
"""

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

import tensorflow as tf
from tensorflow import Tensor

from poph_tf.config import ModelConfig
from poph_tf.models import losses

# Prefix of the sums of a track's nats, followed by the track's name.
TRACK_NATS = "track_nats:"


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
    current, tracks = tf.cast(batch["current"], tf.float32), config.tracks
    play, replay, _ = tf.unstack(current, axis=-1)
    mask, given = batch["mask"], batch.get("given")
    terms = losses.likelihood_terms(outputs, current, tracks, given)
    per_step = {"steps": tf.ones_like(mask), "play_nats": terms["play"]}
    if "volume" in terms:
        per_step["volume_loss"] = terms["volume"]
    logits = tf.cast(outputs["play"], tf.float32)
    cells = _hits(logits, play, config)
    if "replay" in outputs:
        # Training weights replay by play; a score counts it only where it is possible,
        # because sampling forces 0 elsewhere.
        possible = losses.replay_possible(play, batch["previous"][..., 0])
        cells["replay_nats"] = losses.replay_nats(
            possible, replay, tf.cast(outputs["replay"], tf.float32)
        )
    if tracks:
        per_step |= _by_track(cells, logits, play, config, given)
        cells = {name: losses.free_sum(x, given) for name, x in cells.items()}
        logits = tf.reduce_max(logits, axis=2)
    per_step |= cells
    per_step["harmony"] = losses.harmony(
        tf.sigmoid(logits), config.min_pitch, config.minor_scale
    )
    return {name: tf.reduce_sum(value * mask) for name, value in per_step.items()}


def _hits(logits: Tensor, play: Tensor, config: ModelConfig) -> dict[str, Tensor]:
    """Counts for F1, float [batch, time, (track)]; likely notes count as predicted."""
    likely = logits > 0
    if config.tracks:
        voice_likely = losses.voice_log_probability(logits) > math.log(0.5)
        is_voice = losses.is_voice(config.tracks)[:, None]
        likely = tf.where(is_voice, voice_likely, likely)
    predicted = tf.cast(likely, tf.float32)
    return {
        "true_positives": tf.reduce_sum(predicted * play, axis=-1),
        "predicted": tf.reduce_sum(predicted, axis=-1),
        "sounding": tf.reduce_sum(play, axis=-1),
    }


def _by_track(
    cells: Mapping[str, Tensor],
    logits: Tensor,
    play: Tensor,
    config: ModelConfig,
    given: Tensor | None,
) -> dict[str, Tensor]:
    """Nats of play and replay of each free track, float [batch, time] by name."""
    nats = losses.play_nats_of_tracks(play, logits, config.tracks)
    nats += cells.get("replay_nats", 0.0)
    nats *= 1.0 if given is None else 1.0 - given
    return {
        TRACK_NATS + track.name: nats[..., k] for k, track in enumerate(config.tracks)
    }


def summarize(sums: Mapping[str, SupportsFloat], config: ModelConfig) -> dict[str, Any]:
    """Turns sums into means.

    Args:
        sums: Totals of the sums from `step_sums`, by name.
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
    by_track = {
        track.name: means[TRACK_NATS + track.name]
        for track in config.tracks
        if TRACK_NATS + track.name in means
    }
    figures = {"nats_per_step_by_track": by_track} if by_track else {}
    return {
        "loss": loss,
        "play_nats_per_step": means["play_nats"],
        "replay_nats_per_step": means.get("replay_nats"),
        "volume_mse": volume,
        "play_f1": f1(totals["true_positives"], totals["predicted"], sounding),
        "harmony": means["harmony"],
        "num_steps": int(totals["steps"]),
        **figures,
    }


def coin_nats(config: ModelConfig) -> float:
    """Nats per step of play if each cell is a coin toss: the cost of no knowledge."""
    return config.num_pitches * max(len(config.tracks), 1) * math.log(2)


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
