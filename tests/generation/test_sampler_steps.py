"""A step of the sampler by hand: its state, its sums, its calls of the network."""

import dataclasses
import types

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.generation import chords, sampler
from poph_tf.generation import controls as controls_lib
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler

SEEDS = [[1, 2], [3, 4], [1, 5]]


def controls(config, seeds=SEEDS):
    styles = tf.ones((len(seeds), max(len(config.styles), 1)))
    return Controls(tf.constant(seeds), tf.ones(len(seeds)), styles)


def sampler_of(name):
    """A sampler whose network has no weights and no state."""
    network = types.SimpleNamespace(
        zero_state=lambda batch_size: {}, embed_style=lambda style: style
    )
    config = dataclasses.replace(small.model_config(name), chords=False)
    return Sampler(types.SimpleNamespace(network=network, config=config))


def test_the_state_before_a_piece_has_bars_of_16_steps_and_what_was_given_in_tracks():
    state = sampler_of("poph").zero_state(2)
    np.testing.assert_array_equal(state["bar_steps"], [16, 16])
    assert state["frame"].shape == (2, 14, 3) and "given" not in state
    state = sampler_of("voices").zero_state(2, [12, 16])
    np.testing.assert_array_equal(state["bar_steps"], [12, 16])
    assert state["frame"].shape == (2, 3, 14, 3) and state["given"].shape == (2, 3)


@pytest.fixture
def time_axis(monkeypatch):
    """Records the inputs of `draw_frame` and of a time axis without weights."""
    seen = {}

    def run(inputs, state):
        seen.update(inputs, network=state)
        return ["hidden"], "after"

    def draw_frame(self, hidden, state, controls):
        seen.update(hidden=hidden, temperature=controls.temperature)
        frame = np.zeros((2, *self.grid, 3), np.float32)
        frame[1, ..., 5, 0] = 1
        return tf.constant(frame), None

    monkeypatch.setattr(Sampler, "draw_frame", draw_frame)
    return seen, run


@pytest.mark.parametrize("name", ["poph", "voices"])
def test_a_step_moves_the_state_on(name, time_axis):
    seen, run = time_axis
    drawing = sampler_of(name)
    drawing.network.time_axis = run
    asked = controls(drawing.config, SEEDS[:2])
    # The first piece is silent for an 18th step; the second one sounds again.
    state = drawing.zero_state(2, [5, 16]) | {
        "step": tf.constant([9, 2]),
        "bar_position": tf.constant([4, 7]),
        "silent_steps": tf.constant([17, 3]),
    }
    frame, after = drawing.draw_step(state, asked)
    np.testing.assert_array_equal(after["step"], [10, 3])
    np.testing.assert_array_equal(after["bar_position"], [0, 8])
    np.testing.assert_array_equal(after["silent_steps"], [18, 0])
    np.testing.assert_array_equal(after["frame"], frame)
    assert after["network"] == "after" and seen["hidden"] == "hidden"
    assert seen["previous"].shape == (2, 1, *drawing.grid, 3)
    np.testing.assert_array_equal(seen["bar_position"], [[4], [7]])
    if name == "poph":
        np.testing.assert_allclose(seen["temperature"], [1.2, 1.0])
    else:
        np.testing.assert_array_equal(after["given"], np.zeros((2, 3)))
    moved = asked._replace(bar_position=tf.constant([2, 15]))
    after = drawing.draw_step(state, moved)[1]
    np.testing.assert_array_equal(seen["bar_position"], [[2], [15]])
    np.testing.assert_array_equal(after["bar_position"], [3, 0])


def test_steps_are_drawn_one_after_another(monkeypatch):
    def draw_step(self, state, controls):
        loud = tf.repeat(tf.cast(state["step"], tf.float32)[:, None] / 127, 14, axis=1)
        frame = tf.stack([tf.ones_like(loud), tf.zeros_like(loud), loud], axis=-1)
        return frame, {"step": state["step"] + 1}

    monkeypatch.setattr(Sampler, "draw_step", draw_step)
    drawing = sampler_of("poph")
    asked = controls(drawing.config, SEEDS[:2])
    start = {"step": tf.constant([0, 40])}
    cells, after = drawing.draw_steps(start, 3, asked)
    np.testing.assert_array_equal(after["step"], [3, 43])
    assert cells.shape == (2, 3, 14, 3) and cells.dtype == tf.uint8
    np.testing.assert_array_equal(cells[:, :, 0, 2], [[0, 1, 2], [40, 41, 42]])
    np.testing.assert_array_equal(cells[..., :2], np.full((2, 3, 14, 2), [1, 0]))


def test_known_frames_move_the_state_on(time_axis):
    seen, run = time_axis
    drawing = sampler_of("poph")
    drawing.network.time_axis = run
    frames = np.random.default_rng(0).random((2, 3, 14, 3)).astype(np.float32)
    frames[0, 1:, :, 0] = 0  # silent for two steps
    before = drawing.zero_state(2) | {"frame": tf.ones((2, 14, 3))}
    bars = tf.constant([[1, 2, 3, 4], [5, 6, 7, 8]])
    style = tf.zeros((2, 1))
    after = drawing.prefill(before, tf.constant(frames), bars, style)
    np.testing.assert_array_equal(seen["previous"][:, 0], np.ones((2, 14, 3)))
    np.testing.assert_array_equal(seen["previous"][:, 1:], frames[:, :2])
    np.testing.assert_array_equal(seen["bar_position"], bars[:, :3])
    np.testing.assert_array_equal(after["frame"], frames[:, 2])
    np.testing.assert_array_equal(after["step"], [3, 3])
    np.testing.assert_array_equal(after["bar_position"], [4, 8])
    np.testing.assert_array_equal(after["silent_steps"], [2, 0])


def test_tracks_are_told_what_is_ahead_or_that_nothing_is_known():
    like = tf.zeros((2, 5), tf.int32)
    assert sampler_of("poph").track_inputs(like, bars_left=None, look_ahead=None) == {}
    of_tracks = sampler_of("voices").track_inputs
    nothing = of_tracks(like, bars_left=None, look_ahead=None)
    np.testing.assert_array_equal(nothing["bars_left"], np.full((2, 5), -1))
    np.testing.assert_array_equal(nothing["later"], np.zeros((5, 2, 14, 4)))
    ahead = np.random.default_rng(0).random((2, 5, 14, 4)).astype(np.float32)
    flat = tf.constant(ahead.reshape(2, 5, -1))
    told = of_tracks(like, bars_left=like + 3, look_ahead=flat)
    np.testing.assert_array_equal(told["bars_left"], np.full((2, 5), 3))
    np.testing.assert_array_equal(told["later"], np.swapaxes(ahead, 0, 1))
    plain = sampler_of("voices_of_play_only_without_look_ahead")
    assert set(plain.track_inputs(like, bars_left=None, look_ahead=None)) == {
        "bars_left"
    }


@pytest.mark.parametrize("sums", [[], ["log_weight"], ["log_likelihood"]])
def test_only_states_with_sums_are_scored(sums, monkeypatch):
    monkeypatch.setattr(chords, "draw", lambda *given: given[-1])
    monkeypatch.setattr(sampler, "PitchDecoder", lambda *given: None)
    drawing = sampler_of("biaxial")
    state = drawing.zero_state(3) | dict.fromkeys(sums)
    assert drawing.draw_frame(None, state, controls(drawing.config)) == bool(sums)


def test_each_row_of_a_chunk_comes_from_itself(monkeypatch):
    cells = np.zeros((3, 4, 14, 3), np.uint8)
    monkeypatch.setattr(Sampler, "draw_steps", lambda *given: (cells, given[1:]))
    drawn, rows, given = sampler_of("poph").draw_chunk({}, 4, None)
    assert drawn is cells and given == ({}, 4, None)
    np.testing.assert_array_equal(rows, [0, 1, 2])


def test_sums_gain_what_is_scored_and_what_is_clamped():
    # Two pieces, three pitches; the first two pitches of the first are clamped.
    gained = tf.constant([[-1.0, -2.0, -4.0], [-8.0, -16.0, -32.0]])
    clamped = np.zeros((2, 3, 4), np.float32)
    clamped[0, :2, 0] = 1
    asked = Controls(None, None, None, constraints=tf.constant(clamped))
    before = {name: tf.constant([-100.0, -200.0]) for name in sampler.SUMS}
    after = sampler._next_sums(before, gained, asked)
    np.testing.assert_array_equal(after["log_likelihood"], [-107, -256])
    np.testing.assert_array_equal(after["log_weight"], [-103, -200])
    half = asked._replace(scored=tf.constant([0.0, 0.5]), constraints=None)
    after = sampler._next_sums(before, gained, half)
    assert set(after) == {"log_likelihood"}
    np.testing.assert_array_equal(after["log_likelihood"], [-100, -228])
    assert sampler._next_sums({}, None, asked) == {}


def test_controls_of_a_step_have_no_step_axis():
    by_step = tf.constant(np.arange(12.0).reshape(2, 3, 2))
    names = ("style", "pitch_bias", "look_ahead", "constraints", "numbers")
    made = Controls(None, tf.constant([1.0, 2.0]), **dict.fromkeys(names, by_step))
    two = ("bar_position", "scored", "bars_left")
    made = made._replace(**dict.fromkeys(two, by_step[:, :, 0]))
    assert set(made.by_step()) == {*names, *two}
    for name in made.by_step():
        value = getattr(made, name)
        np.testing.assert_array_equal(getattr(made.at(1), name), value[:, 1])
        np.testing.assert_array_equal(getattr(made.since(1), name), value[:, 1:])
    assert made.at(1).temperature is made.temperature
    whole = Controls(None, None, by_step[:, 0], pitch_bias=by_step[:, 0])
    assert whole.by_step() == {} and whole.at(1).style is whole.style
    assert Controls(None, None, by_step).by_step().keys() == {"style"}


def test_after_4_bars_a_note_counts_a_third_for_the_key():
    np.testing.assert_allclose(controls_lib.KEY_DECAY**64, 1 / np.e, rtol=0.01)


def test_key_scales_mark_the_pitches_outside_each_of_24_keys():
    scales = controls_lib.key_scales(small.model_config("poph"))
    assert scales.shape == (24, 14) and small.model_config("poph").min_pitch == 36
    # C major comes first: C C# D ... from C up.
    c_major = [0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(scales[0], c_major)


def test_cells_hold_volumes_up_to_127():
    frames = tf.constant([[1.0, 0.0, 64 / 127], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    cells = sampler.to_cells(frames)
    np.testing.assert_array_equal(cells, [[1, 0, 64], [1, 1, 127], [0, 0, 0]])
