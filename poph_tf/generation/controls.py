"""Controls: how a user steers the sampler beyond the model's own probabilities.

Every control is a tensor with the batch first; `steering.py` applies it to what is
drawn. A control that is None is not in the graph.

A model that reads the key is conditioned on it. In others a named key is a part of
`pitch_bias`. Without a named key, `key_strength` scores all 24 keys as the harmony loss
does: the keys that leave the least outside count most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poph_tf import theory
from poph_tf.config import GenerationConfig, ModelConfig

if TYPE_CHECKING:
    import tensorflow as tf

# What sounded counts less for the key with each step: about a third after 4 bars.
KEY_DECAY = 1.0 - 1.0 / 64.0
# DeepJ's rule: temperature added per step once a silence lasts a bar.
SILENCE_TEMPERATURE = GenerationConfig.silence_temperature


class Controls(NamedTuple):
    """The inputs of the graph for drawing steps of a batch of pieces.

    Attributes:
        seed: int32 [batch, 2].
        temperature: float32 [batch]. Divides the logits.
        style: float32 [batch, styles], or [batch, step, styles] if it changes.
        bar_position: int32 [batch, step]. None: the state keeps counting.
        constraints: float32 [batch, step, (track,) pitch, 4], clamped cells as in
            `constraints.py`. None: all cells are sampled.
        bars_left: int32 [batch, step], see `Task`. None: unknown.
        key: int32 [batch], 0..23 as in `theory`, -1 unknown; in models that read it.
            None: unknown.
        returns: int32 [batch, step], how many steps back the bar lies that each step
            returns to, 0: none, -1: unknown; in models that read the form. None:
            unknown.
        look_ahead: float32 [batch, step, features], a summary of the given notes at or
            after each step, see `Sampler.look_ahead`. None: there are none.
        scored: float32 [batch, step], 0 for steps that the log-likelihood of a piece
            omits. None: it includes all steps.
        replay_temperature: float32 [batch]. 0 or None: `temperature`, of voices 1.
        silence_temperature: float32 [batch] or one number. Added to the temperature of
            each step once a silence lasts a bar.
        pitch_bias: float32 [batch, pitch], or [batch, step, pitch] if it changes.
            Added to the play logits: range, key and chords.
        density: float32 [batch]. Target mean number of sounding notes; 0: any.
        min_probability: float32 [batch]. Notes less probable than this are never drawn,
            those more probable than 1 minus this always.
        probability_exponent: float32 [batch] (Johnson's conservativity).
        top_p: float32 [batch]. A voice draws from its likeliest values with this mass.
        key_strength: float32 [batch]. With `key`, a factor of its input to the network.
            With `key_scales`, logits subtracted from pitches outside the key that the
            piece is in; needs `sounded` in the state.
        chord_strength: float32 [batch]. A factor of the chords' input to the network.
        form_strength: float32 [batch]. A factor of the input of `returns` to the
            network.
        key_scales: float32 [24, pitch], see `key_scales`; not with `key`.
        numbers: float32 [batch, step, track, pitch, 2], the random numbers. None: they
            are computed from the seed.
    """

    seed: tf.Tensor
    temperature: tf.Tensor
    style: tf.Tensor
    bar_position: tf.Tensor | None = None
    constraints: tf.Tensor | None = None
    bars_left: tf.Tensor | None = None
    key: tf.Tensor | None = None
    returns: tf.Tensor | None = None
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
    chord_strength: tf.Tensor | None = None
    form_strength: tf.Tensor | None = None
    key_scales: tf.Tensor | None = None
    numbers: tf.Tensor | None = None

    def at(self, step: tf.Tensor) -> Controls:
        """The controls of one step, without a step axis."""
        return self._replace(**{k: x[:, step] for k, x in self.by_step().items()})

    def since(self, start: tf.Tensor) -> Controls:
        """The controls of the steps from `start` on."""
        return self._replace(**{k: x[:, start:] for k, x in self.by_step().items()})

    def by_step(self) -> dict[str, tf.Tensor]:
        """The controls that have a step axis."""
        names = ["bar_position", "constraints", "scored", "bars_left", "look_ahead"]
        names += ["numbers", "returns"]
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
