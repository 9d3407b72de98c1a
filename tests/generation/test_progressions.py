"""Chords are drawn before the notes of their beat and lead to the given notes."""

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.config import GenerationConfig
from poph_tf.generation import progressions
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.chord_progression import NUM_DEGREES
from poph_tf.models.track_network import place_of

STEPS, ROWS = 24, 3
BARS = tf.constant(np.tile(np.arange(STEPS) % 16, (ROWS, 1)).astype(np.int32))
LEFT = tf.constant(np.repeat([[1] * 16 + [0] * 8], ROWS, axis=0).astype(np.int32))
KEYS = tf.constant([0, 5, 21])


@pytest.fixture(scope="module")
def sampler():
    return Sampler(small.model("voices"))


def controls(**changes):
    made = Controls(
        seed=tf.constant(np.stack([[7] * ROWS, range(ROWS)], 1).astype(np.int32)),
        temperature=tf.ones(ROWS),
        style=tf.constant([[1.0, 0.0]] * ROWS),
        bar_position=BARS,
        bars_left=LEFT,
        key=KEYS,
    )
    return made._replace(**changes)


def drawn(sampler, made):
    """The states' chords after each step, int [step, row]."""
    state, found = sampler.zero_state(len(made.temperature)), []
    draw_step = tf.function(sampler.draw_step, autograph=False)
    for step in range(STEPS):
        _, state = draw_step(state, made.at(step))
        found.append(chord_progression.before_of(state["chords"][:, -1]).numpy())
    return np.array(found)


def test_a_chord_holds_for_its_beat_and_is_one_of_all_degrees(sampler):
    found = drawn(sampler, controls())
    assert found.min() >= 1 and found.max() <= NUM_DEGREES
    by_beat = found.reshape(-1, 4, ROWS)
    assert (by_beat == by_beat[:, :1]).all()
    assert len(np.unique(by_beat)) > 4
    # A piece does not depend on the other pieces of its batch.
    alone = controls(
        **{k: v[1:2] for k, v in controls()._asdict().items() if tf.is_tensor(v)}
    )
    np.testing.assert_array_equal(drawn(sampler, alone)[:, 0], found[:, 1])


def test_chords_that_are_asked_for_are_told(sampler):
    low = sampler.config.min_pitch
    classes = (low + np.arange(sampler.config.num_pitches)) % 12
    bias = np.zeros((ROWS, STEPS, len(classes)), np.float32)
    bias[:, 4:20] = -2 * ~np.isin(classes, (7, 11, 2))  # G major
    bias[:, 20:] = -1e4 * ~np.isin(classes, (0, 4, 7))  # nothing but C major
    found = drawn(sampler, controls(pitch_bias=tf.constant(bias)))
    assert (found[4:20] == 1 + np.array([7, 2, 10])).all()
    assert (found[20:] == 1 + np.array([0, 7, 3])).all()
    assert (found[:4] != found[4]).any()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"chords": "C G Am F"}, "C major"),
        ({"chords": "Dm Gm A7 Dm"}, "D minor"),
        ({"chords": "C G Am F", "key": "A minor"}, "A minor"),
    ],
)
def test_a_piece_over_chords_is_in_their_key(settings, key):
    asked = GenerationConfig(num_pieces=3, num_bars=1, **settings)
    request = asked.resolve(small.model_config("voices"))
    assert [request.key(row) for row in range(3)] == [key] * 3


def test_chords_change_the_notes(sampler):
    frames = []
    for degree in (1, 21):
        # In the middle of a beat, whose chord is already drawn.
        past = sampler.zero_state(ROWS)
        state = past | {"chords": tf.fill(past["chords"].shape, degree)}
        frame, after = sampler.draw_step(state, controls().at(1))
        assert (after["chords"].numpy() == degree).all()
        frames.append(frame.numpy())
    assert (frames[0] != frames[1]).any()


def test_a_run_of_chords_that_comes_back_goes_on_as_before(sampler):
    progression = sampler.network.chord_progression
    song = np.array([1, 6, 8, 1, 10, 3, 8, 1])
    past = np.zeros((ROWS, chord_progression.MEMORY), np.int32)
    beats = 4 * (np.arange(12) % 4)
    past[:, -12:] = chord_progression.entry(np.r_[song, song[:4]] - 1, beats)
    state = sampler.zero_state(ROWS) | {"chords": tf.constant(past)}
    draw_step = tf.function(sampler.draw_step, autograph=False)
    counted, found = progression.repeats.numpy(), {}
    for gain in (0.0, 50.0):
        progression.repeats.assign(tf.fill(progression.repeats.shape, gain))
        now = state
        for step in range(16):
            _, now = draw_step(now, controls().at(step))
        found[gain] = now["chords"].numpy()
    progression.repeats.assign(counted)
    expected = chord_progression.entry(song[4:] - 1, beats[:4])
    assert (found[50.0][:, -4:] == expected).all()
    assert not (found[0.0][:, -4:] == expected).all()
    np.testing.assert_array_equal(found[0.0][:, :-4], past[:, 4:])


def given_notes(sampler):
    """Cells whose first track is given, as in `Controls`."""
    rng = np.random.default_rng(4)
    cells = np.zeros((ROWS, STEPS, *sampler.grid, 4), np.float32)
    cells[:, :, 0, :, 0] = 1
    for row, step in np.ndindex(ROWS, STEPS):
        cells[row, step, 0, rng.integers(sampler.grid[1]), 1:] = 1
    return tf.constant(cells)


def test_what_lies_ahead_is_what_all_ways_of_chords_say(sampler):
    network, cells = sampler.network, given_notes(sampler)
    found = progressions.ahead(network, cells, KEYS, BARS, LEFT).numpy()
    assert not found[:, -1].any()
    chain, low = network.chord_progression, network.config.min_pitch
    play = cells[..., 0] * cells[..., 1]
    heard = np.stack([chain.heard(play[:, t], KEYS, low) for t in range(STEPS)], 1)
    # In the second-to-last beat: the notes of its later steps, then the last beat's.
    tables = chain.transitions.numpy()
    for row, key in enumerate(KEYS.numpy()):
        place = int(place_of(LEFT[row, 20], BARS[row, 20]))
        table = tables[key // 12 * chain.num_places + place, 1:]
        last = np.exp(table + heard[row, 20:].sum(axis=0)).sum(axis=1)
        expected = np.log(last) + heard[row, 18:20].sum(axis=0)
        difference = found[row, 17] - expected
        np.testing.assert_allclose(difference, difference[0], atol=1e-3)


def test_step_by_step_from_the_end_it_is_the_same(sampler):
    cells = given_notes(sampler)[:1]
    frames, given = cells[..., 1:], cells[:, :, :, 0, 0]
    first = tf.zeros_like(cells[:, :1])
    inputs = {
        "current": frames,
        "previous": tf.concat([first[..., 1:], frames[:, :-1]], axis=1),
        "given": given,
        "bar_position": BARS[:1],
        "bars_left": LEFT[:1],
        "key": KEYS[:1],
    }
    whole = sampler.look_ahead(inputs)[0].numpy()
    before = tf.concat([first, cells], axis=1)
    state = sampler.zero_look_ahead(1)
    for step in reversed(range(STEPS)):
        steps = BARS[:1, step, None], LEFT[:1, step, None], KEYS[:1]
        out, state = sampler.look_ahead_step(state, before[:, step : step + 2], *steps)
        np.testing.assert_allclose(out[0], whole[step], atol=1e-3)
    assert np.ptp(whole[:, -NUM_DEGREES:]) > 1


def test_known_steps_have_the_chords_that_drawing_them_gives(sampler):
    rng = np.random.default_rng(5)
    cells = np.zeros((ROWS, STEPS, *sampler.grid, 4), np.float32)
    cells[..., 0] = 1
    for place in np.ndindex(ROWS, STEPS, sampler.grid[0]):
        cells[(*place, rng.integers(sampler.grid[1]))] = 1
    made = controls(constraints=tf.constant(cells))
    after = drawn(sampler, made)[-1]
    bars = tf.concat([BARS, BARS[:, :1]], axis=1)
    style = tf.constant([[1.0, 0.0]] * ROWS)
    frames = tf.constant(cells[..., 1:])
    state = sampler.prefill(
        sampler.zero_state(ROWS), frames, bars, style, LEFT, key=KEYS
    )
    last = chord_progression.before_of(state["chords"][:, -1])
    np.testing.assert_array_equal(last, after)
    assert len(set(after)) > 1
