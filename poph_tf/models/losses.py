"""The losses, one number per step: sums over pitches (and over tracks).

Conventions: targets and predictions are float `[batch, time, pitch]`, results float
`[batch, time]`; with tracks `[batch, time, track, pitch]` and `[batch, time, track]`,
until `likelihood_terms` sums over the free tracks. Units are nats (volume: squared
error; harmony: a share); the mean over the valid steps is in nats per step.

Sources: Mao et al. (2018), section 4.4 (play, replay, volume), arXiv:1801.00887;
Anokhin and Nuzhin, PopH (2018) (harmony).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from poph_tf import theory
from poph_tf.config import Track


def bernoulli_nats(target: Tensor, logits: Tensor) -> Tensor:
    """-[t log y + (1 - t) log(1 - y)] of each cell, with y = sigmoid(logits).

    Example:
        >>> round(float(bernoulli_nats(tf.constant(1.0), tf.constant(0.0))), 4)  # log 2
        0.6931
    """
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)


def play_nats(play: Tensor, play_logits: Tensor) -> Tensor:
    """L_play: negative log-likelihood of play, summed over pitches.

    Example:
        >>> nats = play_nats(tf.constant([[[1.0, 0.0]]]), tf.zeros([1, 1, 2]))
        >>> round(float(nats[0, 0]), 4)  # 2 log 2
        1.3863
    """
    return tf.reduce_sum(bernoulli_nats(play, play_logits), axis=-1)


def voice_log_probability(play_logits: Tensor) -> Tensor:
    """Log-probability of each pitch of a voice: a softmax over pitches and rest.

    The rest's logit is 0.

    Example:
        >>> [round(float(p), 4) for p in tf.exp(voice_log_probability(tf.zeros([3])))]
        [0.25, 0.25, 0.25]
    """
    with_rest = tf.pad(play_logits, [[0, 0]] * (len(play_logits.shape) - 1) + [[0, 1]])
    return play_logits - tf.reduce_logsumexp(with_rest, axis=-1, keepdims=True)


def voice_nats(play: Tensor, play_logits: Tensor) -> Tensor:
    """L_play of a voice: -log of the softmax at its pitch, or at rest.

    Args:
        play: float [..., pitch], at most one of them 1.
        play_logits: float [..., pitch], against the rest's logit of 0.

    Returns:
        float [...].

    Example:
        >>> nats = voice_nats(tf.constant([0.0, 1.0, 0.0]), tf.zeros(3))
        >>> round(float(nats), 4)  # log 4: three pitches and rest
        1.3863
    """
    # The difference is the log-sum-exp over all pitches and rest.
    total = play_logits - voice_log_probability(play_logits)
    return total[..., 0] - tf.reduce_sum(play * play_logits, axis=-1)


def replay_nats(weight: Tensor, replay: Tensor, replay_logits: Tensor) -> Tensor:
    """L_replay: negative log-likelihood of replay over the cells that `weight` marks.

    Args:
        weight: float [batch, time, pitch]. Training weights by play; scores weight by
            `replay_possible`, because sampling forces 0 everywhere else.
        replay: float [batch, time, pitch].
        replay_logits: float [batch, time, pitch].

    Returns:
        float [batch, time].

    Example:
        >>> weight, none = tf.constant([1.0, 0.0]), tf.zeros(2)
        >>> round(float(replay_nats(weight, none, none)), 4)  # log 2, of one cell
        0.6931
    """
    return tf.reduce_sum(weight * bernoulli_nats(replay, replay_logits), axis=-1)


def replay_possible(play: Tensor, play_before: Tensor) -> Tensor:
    """Marks cells whose pitch also sounds in the step before, so it may be repeated.

    Example:
        >>> play, before = tf.constant([1.0, 1.0, 0.0]), tf.constant([1.0, 0.0, 1.0])
        >>> replay_possible(play, before).numpy().tolist()
        [1.0, 0.0, 0.0]
    """
    return play * play_before


def volume_error(play: Tensor, volume: Tensor, volume_prediction: Tensor) -> Tensor:
    """L_volume: squared error of the volume, summed over the sounding cells.

    Example:
        >>> play, volume = tf.constant([1.0, 0.0]), tf.constant([0.5, 0.0])
        >>> float(volume_error(play, volume, tf.constant([0.25, 0.9])))
        0.0625
    """
    return tf.reduce_sum(play * tf.square(volume - volume_prediction), axis=-1)


def fold_octaves(play: Tensor, min_pitch: int) -> Tensor:
    """Sums the weights of each pitch class (C = 0) over octaves.

    Args:
        play: float [..., pitch].
        min_pitch: MIDI number of the first pitch.

    Returns:
        float [..., 12].

    Example:
        >>> fold_octaves(tf.ones(13), min_pitch=60)[:3].numpy().tolist()  # C to C
        [2.0, 1.0, 1.0]
    """
    classes = (np.arange(play.shape[-1]) + min_pitch) % theory.NUM_PITCH_CLASSES
    one_hot = np.eye(theory.NUM_PITCH_CLASSES, dtype=np.float32)[classes]
    return tf.tensordot(play, tf.constant(one_hot, play.dtype), axes=1)


def harmony(play: Tensor, min_pitch: int, minor_scale: str = "natural") -> Tensor:
    """L_harm = min over keys of A softmax(y), y the weights of the pitch classes.

    A marks the pitch classes outside each key (`theory.scale_rows`).

    Args:
        play: float [batch, time, pitch], probabilities.
        min_pitch: MIDI number of the first pitch.
        minor_scale: "natural" or "harmonic".

    Returns:
        float [batch, time], 0 to 5/12. Silence gives 5/12; a C major triad with each
        note once gives 0.2915.

    Example:
        >>> triad = tf.constant(np.isin(range(12), (0, 4, 7)), tf.float32)
        >>> round(float(harmony(triad[None, None], min_pitch=60)[0, 0]), 4)
        0.2915

    Reference:
        Anokhin and Nuzhin, PopH (2018), "harmony loss".
    """
    classes = tf.nn.softmax(fold_octaves(play, min_pitch))
    rows = tf.constant(theory.scale_rows(minor_scale), classes.dtype)
    return tf.reduce_min(tf.matmul(classes, rows, transpose_b=True), axis=-1)


def is_voice(tracks: Sequence[Track]) -> Tensor:
    """Whether each track is a voice, bool [track].

    Example:
        >>> is_voice([Track("piano"), Track("bass", voice=True)]).numpy().tolist()
        [False, True]
    """
    return tf.constant([track.voice for track in tracks])


def play_nats_of_tracks(
    play: Tensor, play_logits: Tensor, tracks: Sequence[Track]
) -> Tensor:
    """L_play by track, float [..., track]; [...] for a model without tracks.

    Example:
        >>> tracks = [Track("piano"), Track("bass", voice=True)]
        >>> nats = play_nats_of_tracks(tf.zeros((2, 3)), tf.zeros((2, 3)), tracks)
        >>> tf.exp(nats).numpy().round(4).tolist()  # 2 ** 3; 3 pitches and rest
        [8.0, 4.0]
    """
    nats = play_nats(play, play_logits)
    if not tracks:
        return nats
    return tf.where(is_voice(tracks), voice_nats(play, play_logits), nats)


def free_sum(per_track: Tensor, given: Tensor | None) -> Tensor:
    """Sums float [batch, time, track] over the tracks that are not given.

    Example:
        >>> free_sum(tf.constant([[[1.0, 2.0]]]), tf.constant([[[0.0, 1.0]]])).numpy()
        array([[1.]], dtype=float32)
    """
    free = 1.0 if given is None else 1.0 - given
    return tf.reduce_sum(per_track * free, axis=-1)


def likelihood_terms(
    outputs: Mapping[str, Tensor],
    current: Tensor,
    tracks: Sequence[Track] = (),
    given: Tensor | None = None,
) -> dict[str, Tensor]:
    """Computes the terms of the training loss that depend on the target.

    Args:
        outputs: float [batch, time, pitch] by name: `play` (logits) and, if the model
            has them, `replay` (logits) and `volume`; with tracks [batch, time, track,
            pitch].
        current: float [batch, time, pitch, 3], the target frames; with tracks [batch,
            time, track, pitch, 3].
        tracks: The tracks of the model.
        given: float [batch, time, track], 1 where a track is given; its terms are not
            counted. None if nothing is given.

    Returns:
        float32 [batch, time], by the name of the output.

    Example:
        >>> logits = dict.fromkeys(("play", "replay"), tf.zeros((1, 1, 2)))
        >>> terms = likelihood_terms(logits, tf.zeros((1, 1, 2, 3)))
        >>> {name: round(float(nats[0, 0]), 4) for name, nats in terms.items()}
        {'play': 1.3863, 'replay': 0.0}
    """
    play, replay, volume = tf.unstack(tf.cast(current, tf.float32), axis=-1)
    outputs = {name: tf.cast(value, tf.float32) for name, value in outputs.items()}
    terms = {"play": play_nats_of_tracks(play, outputs["play"], tracks)}
    if "replay" in outputs:
        terms["replay"] = replay_nats(play, replay, outputs["replay"])
    if "volume" in outputs:
        terms["volume"] = volume_error(play, volume, outputs["volume"])
    if tracks:
        terms = {name: free_sum(term, given) for name, term in terms.items()}
    return terms
