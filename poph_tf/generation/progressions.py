"""Draws the chord of each beat before its notes, in models that read it.

The chord is a part of the sampler's state. Its random number is one that the voices do
not use: they draw with those of the first pitch.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from poph_tf.generation import randomness
from poph_tf.generation.controls import Controls
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.chord_progression import NUM_DEGREES
from poph_tf.models.track_network import TrackNetwork, place_of
from poph_tf.theory import STEPS_OF_BEAT

# Its index among the numbers of a voice.
NUMBER = 1


def draw(
    network: TrackNetwork,
    state: Mapping[str, Any],
    controls: Controls,
    steps: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    """Draws the chord of a step: that of the beat so far, or a new one.

    If all notes of a step are given, it is the likeliest one. Chords whose pitches the
    controls make improbable are improbable too, so the user's chords are followed.

    Args:
        network: the network of a model that draws chords.
        state: the sampler's state before the step, with `chords` int32 [batch, MEMORY],
            the entries of the beats in order; 0: none yet.
        controls: the controls of the step.
        steps: `bar_position`, `bars_left`, `key` int32 [batch], and `ahead` float
            [batch, degree], what later given notes say about the degree.

    Returns:
        int32 [batch, MEMORY], `chords` after the step.
    """
    logits = _logits(network, state["chords"], steps)
    tracks, cells = network.config.tracks, controls.constraints
    voice = next(k for k, track in enumerate(tracks) if track.voice)
    if cells is not None:
        logits += _heard(network, cells, steps["key"])
    if controls.pitch_bias is not None:
        said = controls.pitch_bias, steps["key"], network.config.min_pitch
        logits += network.chord_progression.allowed(*said)
    numbers = randomness.of_step(controls, state["step"], NUMBER + 1, voice)
    drawn = randomness.choose(tf.nn.softmax(logits), numbers[:, NUMBER, 0])
    if cells is not None:
        likeliest = tf.argmax(logits, axis=1, output_type=tf.int32)
        drawn = tf.where(tf.reduce_all(cells[..., 0, 0] > 0, axis=1), likeliest, drawn)
    return _next(state["chords"], drawn, steps["bar_position"])


def read(
    network: TrackNetwork,
    chords: tf.Tensor,
    play: tf.Tensor,
    steps: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    """The chords after known steps, as if they had been drawn.

    Args:
        network: the network of a model that draws chords.
        chords: int32 [batch, MEMORY], those before the steps, as for `draw`.
        play: float [batch, step, track, pitch].
        steps: as for `draw`; all but `key` have a step axis.

    Returns:
        int32 [batch, MEMORY].
    """
    key = steps["key"]
    by_step = {"play": play, **{k: v for k, v in steps.items() if k != "key"}}
    by_step = {
        k: tf.transpose(v, (1, 0, *range(2, len(v.shape)))) for k, v in by_step.items()
    }

    def on(chords: tf.Tensor, step: dict[str, tf.Tensor]) -> tf.Tensor:
        cells = tf.stack([tf.ones_like(step["play"]), step["play"]], axis=-1)
        logits = _logits(network, chords, {**step, "key": key})
        logits += _heard(network, cells, key)
        likeliest = tf.argmax(logits, axis=1, output_type=tf.int32)
        return _next(chords, likeliest, step["bar_position"])

    return tf.scan(on, by_step, chords)[-1]


def _logits(
    network: TrackNetwork, chords: tf.Tensor, steps: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    progression = network.chord_progression
    place = place_of(steps["bars_left"], steps["bar_position"])
    before = chord_progression.before_of(chords[:, -1])
    logits = progression.following(before, steps["key"], place)
    return logits + progression.returning(chords, place) + steps["ahead"]


def _next(chords: tf.Tensor, new: tf.Tensor, bar_position: tf.Tensor) -> tf.Tensor:
    """The chords, plus the new one if a beat begins or there was none."""
    begins = (bar_position % STEPS_OF_BEAT == 0) | (chords[:, -1] == 0)
    entry = chord_progression.entry(new, bar_position)
    longer = tf.concat([chords[:, 1:], entry[:, None]], axis=1)
    return tf.where(begins[:, None], longer, chords)


def ahead(
    network: TrackNetwork,
    constraints: tf.Tensor,
    key: tf.Tensor,
    bar_position: tf.Tensor,
    bars_left: tf.Tensor,
) -> tf.Tensor:
    """What the notes given after each step say about its chord.

    Args:
        network: the network of a model that draws chords.
        constraints: float [batch, step, track, pitch, 4], as in `Controls`.
        key: int32 [batch].
        bar_position: int32 [batch, step].
        bars_left: int32 [batch, step].

    Returns:
        float32 [batch, step, degree], log-probabilities up to a constant.
    """
    by_step = [tf.transpose(x) for x in (bar_position, bars_left)]
    cells = tf.transpose(constraints, (1, 0, 2, 3, 4))

    def back(after: tf.Tensor, step: Any) -> tf.Tensor:
        return before(network, after, step[0], key, *step[1:])

    end = zero_ahead(tf.shape(key)[0])
    found = tf.scan(back, (cells, *by_step), end, reverse=True)
    return tf.transpose(tf.concat([found[1:], end[None]], axis=0), (1, 0, 2))


def before(
    network: TrackNetwork,
    after: tf.Tensor,
    constraints: tf.Tensor,
    key: tf.Tensor,
    bar_position: tf.Tensor,
    bars_left: tf.Tensor,
) -> tf.Tensor:
    """One step of `ahead`, backwards: what a step and all after it say."""
    after = after + _heard(network, constraints, key)
    place = place_of(bars_left, bar_position)
    earlier = network.chord_progression.preceding(after, key, place)
    begins = bar_position % STEPS_OF_BEAT == 0
    return tf.where(begins[:, None], earlier, after)


def zero_ahead(batch_size: Any) -> tf.Tensor:
    """The state of `before` if nothing follows, float32 [batch, degree]."""
    return tf.zeros((batch_size, NUM_DEGREES))


def _heard(network: TrackNetwork, constraints: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    play = constraints[..., 0] * constraints[..., 1]
    pitched = [k for k, t in enumerate(network.config.tracks) if not t.is_drum]
    play = tf.gather(play, pitched, axis=1)
    return network.chord_progression.heard(play, key, network.config.min_pitch)
