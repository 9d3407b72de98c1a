"""Voices keep to the pitches of those of the training music."""

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler

ROWS, PLACE = 64, 5


@pytest.fixture
def sampler():
    """Of a model whose second voice has one pitch."""
    made = Sampler(small.model("voices"))
    voice_ranges = made.network.voice_ranges
    before = voice_ranges.pitches.numpy()
    table = np.zeros_like(before)
    table[1] = -1e3 * (np.arange(table.shape[1]) != PLACE)
    voice_ranges.pitches.assign(table)
    yield made
    voice_ranges.pitches.assign(before)


def second_voice(sampler, controls, state=None):
    """Where the second voice sounds after a step, bool [batch, pitch]."""
    state = state or sampler.zero_state(ROWS)
    frame, _ = sampler.draw_step(state, controls)
    return frame.numpy()[:, 1, :, 0] > 0


@pytest.fixture
def controls():
    return Controls(
        seed=tf.constant([[7, k] for k in range(ROWS)]),
        temperature=tf.ones(ROWS),
        style=tf.constant([[1.0, 0.0]] * ROWS),
        bar_position=tf.zeros(ROWS, tf.int32),
        bars_left=tf.ones(ROWS, tf.int32),
        key=tf.zeros(ROWS, tf.int32),
    )


def test_a_voice_sounds_in_its_range_or_rests(sampler, controls):
    state = sampler.zero_state(ROWS)
    for _ in range(3):
        sounds = second_voice(sampler, controls, state)
        assert sounds[:, PLACE].any()
        assert not np.delete(sounds, PLACE, axis=1).any()
        _, state = sampler.draw_step(state, controls)


def test_where_a_voice_is_given_the_others_are_free(sampler, controls):
    cells = np.zeros((ROWS, *sampler.grid, 4), np.float32)
    cells[1:, 0, :, 0] = 1
    cells[1:, 0, 9, 1] = 1
    given = controls._replace(constraints=tf.constant(cells))
    sounds = second_voice(sampler, given)
    assert not np.delete(sounds[0], PLACE).any()
    assert np.delete(sounds[1:], PLACE, axis=1).any()
