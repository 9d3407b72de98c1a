"""The losses, one number per step: sums over pitches.

Conventions: targets and predictions are `[batch, time, pitch]`, results
`[batch, time]` in nats (volume: squared error; harmony: a share). `total` is their
mean over the valid steps, so its unit is nats per step.

Sources: Mao et al. (2018), section 4.4 (play, replay, volume); Anokhin and Nuzhin,
PopH (2018) (harmony).
"""

import numpy as np
import tensorflow as tf

from poph_tf import theory


def bernoulli_nats(target, logits):
    """-[t log y + (1 - t) log(1 - y)] with y = sigmoid(logits), cell by cell."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)


def play_nats(play, play_logits):
    """L_play of each step."""
    return tf.reduce_sum(bernoulli_nats(play, play_logits), axis=-1)


def replay_nats(weight, replay, replay_logits):
    """Negative log-likelihood of replay over the cells that `weight` marks.

    Args:
        weight: float [batch, time, pitch]. Training weighs by play (L_replay, the
            seed's); scores weigh by `replay_possible`, since sampling forces 0
            everywhere else.
        replay: float [batch, time, pitch].
        replay_logits: float [batch, time, pitch].

    Returns:
        float [batch, time].
    """
    return tf.reduce_sum(weight * bernoulli_nats(replay, replay_logits), axis=-1)


def replay_possible(play, play_before):
    """1 where a note sounds that sounded in the step before, so may be struck again."""
    return play * play_before


def volume_error(play, volume, volume_prediction):
    """L_volume of each step: squared error over the sounding cells."""
    return tf.reduce_sum(play * tf.square(volume - volume_prediction), axis=-1)


def fold_octaves(play, min_pitch):
    """Sums over octaves: the weight of each pitch class (C = 0).

    Args:
        play: float [..., pitch].
        min_pitch: int. MIDI number of the first pitch.

    Returns:
        float [..., 12].
    """
    classes = (np.arange(play.shape[-1]) + min_pitch) % theory.NUM_PITCH_CLASSES
    one_hot = np.eye(theory.NUM_PITCH_CLASSES, dtype=np.float32)[classes]
    return tf.tensordot(play, tf.constant(one_hot, play.dtype), axes=1)


def harmony(play, min_pitch, minor_scale="natural"):
    """L_harm of each step: the share of softmax'd pitch classes outside the best key.

    Args:
        play: float [batch, time, pitch], probabilities.
        min_pitch: int. MIDI number of the first pitch.
        minor_scale: str. "natural" or "harmonic".

    Returns:
        float [batch, time], 0 to 5/12. Silence gives 5/12; a C major triad, once each,
        0.2915.
    """
    classes = tf.nn.softmax(fold_octaves(play, min_pitch))
    rows = tf.constant(theory.scale_rows(minor_scale), classes.dtype)
    return tf.reduce_min(tf.matmul(classes, rows, transpose_b=True), axis=-1)


def likelihood_terms(outputs, current):
    """The terms of the training loss that come from the target, one number per step.

    Args:
        outputs: dict of float [batch, time, pitch]: `play` (logits) and, if the model
            has them, `replay` (logits) and `volume`.
        current: float [batch, time, pitch, 3], the target frames.

    Returns:
        dict of float32 [batch, time], a key for each output.
    """
    play, replay, volume = tf.unstack(tf.cast(current, tf.float32), axis=-1)
    outputs = {name: tf.cast(value, tf.float32) for name, value in outputs.items()}
    terms = {"play": play_nats(play, outputs["play"])}
    if "replay" in outputs:
        terms["replay"] = replay_nats(play, replay, outputs["replay"])
    if "volume" in outputs:
        terms["volume"] = volume_error(play, volume, outputs["volume"])
    return terms
