"""Voices keep to the pitch ranges of the training music."""

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler

ROWS, PLACE, ABOVE = 64, 5, 9


@pytest.fixture
def sampler():
    """The sampler of a model whose first two voices have one pitch each."""
    made = Sampler(small.model("voices"))
    voice_ranges = made.network.voice_ranges
    before = voice_ranges.pitches.numpy()
    table = np.zeros_like(before)
    for voice, place in enumerate((ABOVE, PLACE)):
        table[voice] = -1e3 * (np.arange(table.shape[1]) != place)
    voice_ranges.pitches.assign(table)
    yield made
    voice_ranges.pitches.assign(before)


def second_voice(sampler, controls, state=None):
    """Returns where the second voice sounds after a step, bool [batch, pitch]."""
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


def test_where_a_given_note_is_out_of_its_range_the_others_are_free(sampler, controls):
    cells = np.zeros((ROWS, *sampler.grid, 4), np.float32)
    cells[1:, 0, :, 0] = 1
    cells[1:, 0, ABOVE, 1] = 1
    cells[ROWS // 2 :, 0, :, 1] = np.eye(small.NUM_PITCHES)[ABOVE + 1]
    given = controls._replace(constraints=tf.constant(cells))
    others = np.delete(second_voice(sampler, given), PLACE, axis=1)
    assert not others[: ROWS // 2].any()
    assert others[ROWS // 2 :].any()


def test_given_notes_tell_by_their_odds_how_much_ranges_count(sampler):
    voice_ranges = sampler.network.voice_ranges
    table = voice_ranges.pitches.numpy()
    table[0, 3] = np.log(0.25)
    voice_ranges.pitches.assign(table)
    given = np.zeros((3, *sampler.grid[:2]), np.float32)
    given[1, 0, 3] = given[2, 0, ABOVE] = 1
    share = voice_ranges.share_of(tf.constant(given))
    np.testing.assert_allclose(share, [1, 0.25, 1], rtol=1e-6)
    bias = voice_ranges.bias(0, share).numpy()[:, 3]
    np.testing.assert_allclose(bias, np.log(0.25) * np.array([1, 0.25, 1]), rtol=1e-6)
