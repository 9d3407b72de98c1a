"""Controls: what a musician asks of the sampler beyond the model's own probabilities.

Every control is a tensor with the batch first and changes the play logits or the
probabilities. A control that is None is not in the graph.

A named key is a part of `pitch_bias`. Without a named key, `key_strength` scores all 24
keys as the harmony loss does: the keys that leave the least outside count most.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.config import ModelConfig

# The density controller adds up what is missing, step by step, without forgetting.
DENSITY_GAIN = 0.02  # logits for each missing note and step
DENSITY_REACH = 8.0  # logits, at most
# With each step, what sounded counts less for the key: after 4 bars about a third.
KEY_DECAY = 1.0 - 1.0 / 64.0
# DeepJ's rule: temperature added per step once a silence lasts a bar.
SILENCE_TEMPERATURE = 0.1


class Controls(NamedTuple):
    """What the graph reads when it draws steps of a batch of pieces.

    Attributes:
        seed: int32 [batch, 2].
        temperature: float32 [batch]. Divides the logits.
        style: float32 [batch, styles], or [batch, step, styles] if it changes.
        bar_position: int32 [batch, step]. None: the state counts on.
        constraints: float32 [batch, step, (track,) pitch, 4], clamped cells as in
            `constraints.py`. None: all cells are sampled.
        bars_left: int32 [batch, step], see `Task`. None: unknown.
        look_ahead: float32 [batch, step, ...], what the network says of the givens at
            or after each step. None: there are none.
        scored: float32 [batch, step], 0 for steps that the log-likelihood of a piece
            leaves out. None: it has all steps.
        replay_temperature: float32 [batch]. None: `temperature`.
        silence_temperature: float32 [batch] or one number. Added to the temperature of
            each step once a silence lasts a bar.
        pitch_bias: float32 [batch, pitch], or [batch, step, pitch] if it changes.
            Added to the play logits: range, key and chords.
        density: float32 [batch]. Wanted mean number of sounding notes; 0: any.
        min_probability: float32 [batch]. Notes less probable than this are never drawn,
            those more probable than 1 minus this always.
        probability_exponent: float32 [batch] (Johnson's conservativity).
        top_p: float32 [batch]. A voice draws from its likeliest values of this mass.
        key_strength: float32 [batch]. Logits subtracted from pitches outside the key
            that the piece is in; needs `key_scales`, and `sounded` in the state.
        key_scales: float32 [24, pitch], see `key_scales`.
    """

    seed: tf.Tensor
    temperature: tf.Tensor
    style: tf.Tensor
    bar_position: tf.Tensor | None = None
    constraints: tf.Tensor | None = None
    bars_left: tf.Tensor | None = None
    look_ahead: tf.Tensor | None = None
    scored: tf.Tensor | None = None
    replay_temperature: tf.Tensor | None = None
    silence_temperature: tf.Tensor | float = SILENCE_TEMPERATURE
    pitch_bias: tf.Tensor | None = None
    density: tf.Tensor | None = None
    min_probability: tf.Tensor | None = None
    probability_exponent: tf.Tensor | None = None
    top_p: tf.Tensor | None = None
    key_strength: tf.Tensor | None = None
    key_scales: tf.Tensor | None = None

    def at(self, step: tf.Tensor) -> "Controls":
        """The controls of one step, without a step axis."""
        return self._replace(**{k: x[:, step] for k, x in self._by_step().items()})

    def since(self, start: tf.Tensor) -> "Controls":
        """The controls of the steps from `start` on."""
        return self._replace(**{k: x[:, start:] for k, x in self._by_step().items()})

    def _by_step(self) -> dict[str, tf.Tensor]:
        """The controls that have a step axis."""
        names = ["bar_position", "constraints", "scored", "bars_left", "look_ahead"]
        names += ["style"] * (len(self.style.shape) == 3)
        bias = self.pitch_bias
        names += ["pitch_bias"] * (bias is not None and len(bias.shape) == 3)
        return {k: v for k in names if (v := getattr(self, k)) is not None}


def key_scales(config: ModelConfig) -> np.ndarray:
    """Marks the pitches outside each of the 24 keys of the harmony loss.

    Returns:
        float32 [24, pitch], 1 outside the key.
    """
    pitches = np.arange(config.min_pitch, config.max_pitch + 1)
    return theory.scale_rows(config.minor_scale)[:, pitches % theory.NUM_PITCH_CLASSES]


def auto_key_bias(
    sounded: tf.Tensor, scales: tf.Tensor, strength: tf.Tensor
) -> tf.Tensor:
    """Bias against pitches outside the keys that fit what has sounded.

    A key's weight is exp(-what lies outside it), normalized. All keys that fit equally
    well weigh the same, so before the first note the bias is 0.

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
    if controls.key_strength is not None:
        sounded, strength = state["sounded"], controls.key_strength
        parts.append(auto_key_bias(sounded, controls.key_scales, strength))
    return sum(parts[1:], parts[0]) if parts else None


def next_state(
    controls: Controls, state: Mapping[str, Any], frame: tf.Tensor
) -> dict[str, tf.Tensor]:
    """The parts of the state that belong to controls, after a step.

    Args:
        controls: of the step.
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
        controls: of the step.

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
