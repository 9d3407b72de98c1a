"""How controls change the play logits and probabilities, in the graph."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from poph_tf.generation.controls import KEY_DECAY, Controls

# The density controller is an integrator: it sums the missing notes over the steps.
DENSITY_GAIN = 0.02  # logits for each missing note and step
DENSITY_REACH = 8.0  # logits, at most


def auto_key_bias(
    sounded: tf.Tensor, scales: tf.Tensor, strength: tf.Tensor
) -> tf.Tensor:
    """Bias against pitches outside the keys that fit what has sounded.

    A key's weight is exp(-sum outside it), normalized. Keys that fit equally well have
    the same weight, so the bias is 0 before the first note.

    Args:
        sounded: float [batch, pitch]. Steps that each pitch sounded, decayed.
        scales: float [24, pitch], from `key_scales`.
        strength: float [batch].

    Returns:
        float [batch, pitch], at most 0.
    """
    weight = tf.nn.softmax(-tf.matmul(sounded, scales, transpose_b=True))
    outside = tf.matmul(weight, scales)
    outside -= tf.reduce_min(outside, axis=1, keepdims=True)
    return -strength[:, None] * outside


def step_bias(controls: Controls, state: Mapping[str, Any]) -> tf.Tensor | None:
    """The bias of one step, float [batch, pitch or 1]; None if no control adds one."""
    parts = []
    if controls.pitch_bias is not None:
        parts.append(controls.pitch_bias)
    if controls.density is not None:
        parts.append(state["density_bias"][:, None])
    if controls.key_scales is not None:
        sounded, strength = state["sounded"], controls.key_strength
        parts.append(auto_key_bias(sounded, controls.key_scales, strength))
    return sum(parts[1:], parts[0]) if parts else None


def next_state(
    controls: Controls, state: Mapping[str, Any], frame: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The parts of the state that belong to controls, after a step.

    Args:
        controls: the controls of the step.
        state: the sampler's, before the step.
        frame: float [batch, pitch, channel], just drawn.
    """
    after, density = {}, controls.density
    if density is not None:
        bias = state["density_bias"]
        missing = density - tf.reduce_sum(frame[..., 0], axis=-1)
        moved = bias + DENSITY_GAIN * missing
        moved = tf.clip_by_value(moved, -DENSITY_REACH, DENSITY_REACH)
        after["density_bias"] = tf.where(density > 0, moved, bias)
    if "sounded" in state:
        after["sounded"] = KEY_DECAY * state["sounded"] + frame[..., 0]
    return after


def play_probability(
    logits: tf.Tensor, temperature: tf.Tensor, controls: Controls
) -> tf.Tensor:
    """The probability with which the notes of one pitch are drawn.

    Args:
        logits: float [batch], of play, with its bias.
        temperature: float [batch].
        controls: the controls of the step.

    Returns:
        float [batch].
    """
    probability = tf.sigmoid(logits / temperature)
    if controls.probability_exponent is not None:
        probability = tf.pow(probability, controls.probability_exponent)
    if controls.min_probability is not None:
        least = controls.min_probability
        probability = tf.where(probability < least, 0.0, probability)
        probability = tf.where(probability > 1.0 - least, 1.0, probability)
    return probability
