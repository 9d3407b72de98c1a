"""Steering: what a musician asks of the sampler beyond the model's own taste.

Every control is a tensor with the batch first and enters as a change of the play
logits or probabilities; a control that is not given costs nothing and changes nothing.

    bias                float [batch, pitch], added to the play logits: pitch range, key
    density             float [batch], wanted mean of sounding notes; 0: as it comes
    cut                 float [batch]: notes less probable than this are not drawn, and
                        notes more probable than 1 - cut always are
    conservativity      float [batch], exponent of the probability (Johnson's)
    replay_temperature  float [batch], where replay is to differ from play
    silent_warmth       float [batch], added to the temperature of each step once a
                        silence lasts (DeepJ's rule: 0.1); 0: silence may last
    key_strength        float [batch], logits taken from pitches outside the key that
                        what has sounded is in; with `scales` float [24, pitch], 1
                        where a pitch is outside one, and `sounded` in the state

A key that is named is a part of the bias. Where none is, the harmony loss' own way is
gone: of the 24 keys those count that leave the least outside.
"""

import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.config.generation import AUTO_KEY
from poph_tf.errors import InputError

# A pitch out of range: its probability underflows to 0 at any temperature in use.
NEVER = -1e4
# The density controller adds up what is missing, a step at a time, and forgets none.
DENSITY_GAIN = 0.02  # logits for each missing note and step
DENSITY_REACH = 8.0  # logits, at most
# What sounded counts for a key by this much less with each step: 4 bars to a third.
FADING = 1.0 - 1.0 / 64.0


def pitch_bias(config, key="", key_strength=2.0, low=0, high=127):
    """Bias of the play logits for a key and a range of pitches.

    Args:
        config: ModelConfig.
        key: str, see `key_outside`; "" for none.
        key_strength: float. Logits taken from every pitch outside the key: the marks
            of the harmony loss (see models/layers/harmony.py), used on what is drawn.
        low, high: int. MIDI numbers of the lowest and highest pitch wanted.

    Returns:
        float32 [pitch], or None where there is nothing to change.
    """
    pitches = np.arange(config.min_pitch, config.max_pitch + 1)
    bias = np.zeros(config.num_pitches, np.float32)
    if key and key != AUTO_KEY:
        bias -= (
            key_strength * theory.key_outside(key)[pitches % theory.NUM_PITCH_CLASSES]
        )
    inside = (pitches >= low) & (pitches <= high)
    if not inside.any():
        raise InputError(
            f"The pitches {low} to {high} lie outside the model's, "
            f"{config.min_pitch} to {config.max_pitch}."
        )
    bias = np.where(inside, bias, NEVER).astype(np.float32)
    return bias if bias.any() else None


def key_scales(config):
    """The pitches outside each of the 24 keys of the harmony loss, float32 [24, pitch].

    Args:
        config: ModelConfig.
    """
    pitches = np.arange(config.min_pitch, config.max_pitch + 1)
    return theory.scale_rows(config.minor_scale)[:, pitches % theory.NUM_PITCH_CLASSES]


def auto_key_bias(sounded, scales, strength):
    """Takes logits from pitches outside the keys that fit what has sounded.

    Keys count by exp(-what lies outside them): all that fit equally well have the same
    say, and before a note has sounded none has any.

    Args:
        sounded: float [batch, pitch], steps that each pitch sounded, fading.
        scales: float [24, pitch], as from `key_scales`.
        strength: float [batch].

    Returns:
        float [batch, pitch].
    """
    weight = tf.nn.softmax(-tf.matmul(sounded, scales, transpose_b=True))
    outside = tf.matmul(weight, scales)
    outside -= tf.reduce_min(outside, axis=1, keepdims=True)
    return -strength[:, None] * outside


def step_bias(controls, state):
    """The bias of one step, float [batch, pitch or 1]; None where there is none."""
    parts = []
    if "bias" in controls:
        parts.append(controls["bias"])
    if "density" in controls:
        parts.append(state["density_bias"][:, None])
    if "key_strength" in controls:
        parts.append(
            auto_key_bias(
                state["sounded"], controls["scales"], controls["key_strength"]
            )
        )
    return sum(parts[1:], parts[0]) if parts else None


def next_state(controls, state, frame):
    """What the controls carry on to the next step, a dict of parts of the state.

    Args:
        controls: dict, as in the module's docstring.
        state: dict, the sampler's, before the step.
        frame: float [batch, pitch, 3], the frame just drawn.
    """
    after = {"density_bias": next_density_bias(controls, state["density_bias"], frame)}
    if "sounded" in state:
        after["sounded"] = FADING * state["sounded"] + frame[..., 0]
    return after


def next_density_bias(controls, density_bias, frame):
    """What the density controller adds from now on, float [batch].

    Args:
        controls: dict, as in the module's docstring.
        density_bias: float [batch], so far.
        frame: float [batch, pitch, 3], the frame just drawn.
    """
    if "density" not in controls:
        return density_bias
    missing = controls["density"] - tf.reduce_sum(frame[..., 0], axis=-1)
    moved = density_bias + DENSITY_GAIN * missing
    moved = tf.clip_by_value(moved, -DENSITY_REACH, DENSITY_REACH)
    return tf.where(controls["density"] > 0, moved, density_bias)


def play_probability(logits, temperature, controls):
    """The probability that a pitch is drawn with.

    Args:
        logits: float [batch], of play, biased already.
        temperature: float [batch].
        controls: dict, as in the module's docstring.

    Returns:
        float [batch].
    """
    probability = tf.sigmoid(logits / temperature)
    if "probability_exponent" in controls:
        probability = tf.pow(probability, controls["probability_exponent"])
    if "min_probability" in controls:
        cut = controls["min_probability"]
        probability = tf.where(probability < cut, 0.0, probability)
        probability = tf.where(probability > 1.0 - cut, 1.0, probability)
    return probability
