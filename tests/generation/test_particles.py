"""Particles: weights, resampling, and draws from the conditional distribution.

The exact conditional distribution of a model with two pitches and two steps is
computed from its teacher-forced outputs over all possible pieces.
"""

import functools
import itertools

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.generation import particles
from poph_tf.generation.controls import Controls
from poph_tf.generation.particles import Particles
from poph_tf.generation.sampler import Sampler

# Systematic resampling.


@pytest.mark.parametrize(
    ("weight", "number", "expected"),
    [
        # Points just above 0, 1/4, 1/2, 3/4; edges 0.7, 0.8, 0.9, 1.
        ([0.7, 0.1, 0.1, 0.1], 0.04, [0, 0, 0, 1]),
        # Points 1/8, 3/8, 5/8, 7/8.
        ([0.7, 0.1, 0.1, 0.1], 0.5, [0, 0, 0, 2]),
        ([0.25, 0.25, 0.25, 0.25], 0.5, [0, 1, 2, 3]),
        ([0.0, 0.0, 1.0, 0.0], 0.999, [2, 2, 2, 2]),
        ([0.0, 0.5, 0.0, 0.5], 0.0, [1, 1, 3, 3]),
    ],
)
def test_systematic_resampling_takes_equal_steps_along_the_stacked_weights(
    weight, number, expected
):
    chosen = particles.systematic(tf.constant([weight]), tf.constant([number]))
    np.testing.assert_array_equal(chosen, [expected])


def tracked(log_weight, evidence=0.0):
    """A state of particles that marks each row and each of its two pitches."""
    rows = len(log_weight)
    mark = tf.range(rows, dtype=tf.float32)
    return {
        "step": tf.zeros([rows], tf.int32),
        "mark": mark,
        "pitches": tf.repeat(mark, 2)[:, None] + tf.constant([[0.0, 0.5]]),
        "log_weight": tf.constant(log_weight),
        "log_evidence": tf.fill([rows], float(evidence)),
    }


@functools.cache
def of_four():
    return Particles(small.model("play_only"), 4)


def test_two_steps_of_weights_worked_by_hand():
    # After the first step the weights are 0.4, 0.3, 0.2, 0.1. The effective number of
    # particles, 1 / 0.3 = 3.3, is more than two of four: all stay.
    first = np.log([0.4, 0.3, 0.2, 0.1]).astype(np.float32)
    state = of_four()._resample(tracked(first), tf.constant([0.5]))
    np.testing.assert_array_equal(state["mark"], [0, 1, 2, 3])
    np.testing.assert_allclose(state["log_weight"], first)
    np.testing.assert_array_equal(state["log_evidence"], [0] * 4)
    # The clamped notes of the next step have probabilities 0.7 / 0.4, ..., which gives
    # 0.7, 0.1, 0.1, 0.1. The effective number is 1 / 0.52 = 1.9: the first continues
    # three times, the third once.
    second = np.log([0.7, 0.1, 0.1, 0.1]).astype(np.float32)
    state = of_four()._resample(tracked(second), tf.constant([0.5]))
    np.testing.assert_array_equal(state["mark"], [0, 0, 0, 2])
    np.testing.assert_array_equal(
        state["pitches"][:, 1], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 2.5, 2.5]
    )
    np.testing.assert_array_equal(state["log_weight"], [0] * 4)
    np.testing.assert_allclose(state["log_evidence"], [np.log(0.25)] * 4, rtol=1e-6)


def test_each_piece_is_resampled_alone():
    poor = np.log([0.01, 0.01, 0.97, 0.01]).astype(np.float32)
    state = tracked(np.concatenate([np.zeros(4, np.float32), poor]))
    after = of_four()._resample(state, tf.constant([0.5, 0.5]))
    np.testing.assert_array_equal(after["mark"], [0, 1, 2, 3, 6, 6, 6, 6])


def test_chunks_are_traced_back_along_the_rows_that_led_to_each_other():
    first = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    second = 10 + first
    # In the second chunk row 0 came from row 2, and row 1 from row 0.
    chunks = [(first, np.arange(3)), (second, np.array([2, 0, 2]))]
    traced = particles.trace(chunks, np.array([1, 0]))
    np.testing.assert_array_equal(traced[..., 0, 0], [[0, 11], [2, 10]])


# Two pitches, two steps: all possible pieces.

# The upper note is struck in the first step and held in the second.
GIVEN = np.zeros((2, 2, 4), np.float32)
GIVEN[:, 1] = [[1, 1, 1, 0.5], [1, 1, 0, 0.5]]


@functools.cache
def exactly(order):
    """P(clamped cells), and P(lower note of each step | clamped cells), [step]."""
    pieces = np.zeros((256, 2, 2, 3), np.float32)
    pieces[..., :2] = np.array(list(itertools.product((0, 1), repeat=8))).reshape(
        -1, 2, 2, 2
    )
    play, replay = pieces[..., 0], pieces[..., 1]
    before = np.concatenate([np.zeros_like(play[:, :1]), play[:, :1]], axis=1)
    pieces = pieces[(replay <= play * before).all(axis=(1, 2))]
    probability = np.exp(
        small.log_probability(small.coupled_model(order), pieces).sum(axis=1)
    )
    np.testing.assert_allclose(probability.sum(), 1.0, rtol=1e-4)
    upper = pieces[:, :, 1]
    fits = (upper[..., 0] == 1).all(axis=1) & (upper[:, 1, 1] == 0)
    lower = pieces[:, :, 0, 0]
    evidence = probability[fits].sum()
    conditional = (probability[fits] @ lower[fits]) / evidence
    return evidence, conditional, probability @ lower


@functools.cache
def by_particles(order, num_particles, num_pieces):
    """(chosen pieces uint8 [piece, time, pitch, 3], log evidence [piece])."""
    model = small.coupled_model(order)
    chooser, rows = Particles(model, num_particles), num_particles * num_pieces
    seeds = np.stack([np.full(rows, 7), np.arange(rows)], axis=1).astype(np.int32)
    controls = Controls(
        seed=tf.constant(seeds),
        temperature=tf.ones([rows]),
        style=tf.ones([rows, 1]),
        constraints=tf.constant(np.tile(GIVEN, (rows, 1, 1, 1))),
    )
    state = chooser.zero_state(rows)
    state |= dict.fromkeys(particles.SUMS, tf.zeros([rows]))
    cells, came_from, state = tf.function(chooser.draw_chunk, autograph=False)(
        state, 2, controls
    )
    chosen = chooser.choose(state, controls.seed).numpy()
    chunk = cells.numpy(), came_from.numpy()
    return particles.trace([chunk], chosen), chooser.log_evidence(state).numpy()


ORDERS = ("ascending", "descending")


def test_in_the_tiny_models_the_clamped_notes_change_the_free_ones_much():
    for order in ORDERS:
        _, conditional, unconditional = exactly(order)
        assert np.abs(conditional - unconditional).max() > 0.1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("num_particles", [1, 4])
def test_the_mean_weight_is_the_probability_of_the_clamped_cells(order, num_particles):
    evidence = np.exp(by_particles(order, num_particles, 3000 // num_particles)[1])
    error = evidence.std() / np.sqrt(len(evidence))
    assert abs(evidence.mean() - exactly(order)[0]) < 4 * error
    assert error < 0.1 * exactly(order)[0]


@pytest.mark.parametrize("order", ORDERS)
def test_particles_draw_from_the_exact_conditional_distribution(order):
    cells, _ = by_particles(order, 32, 400)
    np.testing.assert_array_equal(cells[:, :, 1, 0], 1)
    np.testing.assert_array_equal(cells[:, :, 1, 1], 0)
    share = cells[:, :, 0, 0].mean(axis=0)
    # Four standard deviations of a share of 400 pieces are at most 0.1.
    np.testing.assert_allclose(share, exactly(order)[1], atol=0.1)


# The sampler's sums.


def one_row_controls(config, rows=3):
    return Controls(
        seed=tf.constant([[9, k] for k in range(rows)]),
        temperature=tf.fill([rows], 1.5),
        style=tf.ones([rows, 1]),
        pitch_bias=tf.fill([rows, config.num_pitches], -0.3),
    )


def test_the_likelihood_kept_is_the_models_own_whatever_was_wished():
    model = small.model("biaxial")
    sampler, controls = Sampler(model), one_row_controls(model.config)
    counted = np.array([1, 1, 1, 0, 1, 0], np.float32)
    controls = controls._replace(scored=tf.constant(np.tile(counted, (3, 1))))
    state = sampler.zero_state(3) | {"log_likelihood": tf.zeros([3])}
    cells, state = tf.function(sampler.draw_steps, autograph=False)(state, 6, controls)
    frames = cells.numpy() / np.array([1, 1, 127], np.float32)
    expected = small.log_probability(model, frames) @ counted
    np.testing.assert_allclose(state["log_likelihood"], expected, rtol=1e-4)


def test_without_clamped_cells_each_particle_is_an_ordinary_piece():
    model = small.model("biaxial")
    controls = one_row_controls(model.config)
    plain = tf.function(Sampler(model).draw_steps, autograph=False)(
        Sampler(model).zero_state(3), 6, controls
    )[0]
    given = controls._replace(constraints=tf.zeros([3, 6, model.config.num_pitches, 4]))
    chooser = Particles(model, 3)
    state = chooser.zero_state(3) | dict.fromkeys(particles.SUMS, tf.zeros([3]))
    cells, came_from, state = tf.function(chooser.draw_chunk, autograph=False)(
        state, 6, given
    )
    np.testing.assert_array_equal(cells, plain)
    np.testing.assert_array_equal(came_from, [0, 1, 2])
    np.testing.assert_array_equal(state["log_weight"], [0, 0, 0])


def test_a_clamped_onset_is_a_replay_if_its_pitch_sounded():
    from poph_tf.generation import chords

    heads = {name: tf.zeros([3]) for name in ("play", "replay", "volume")}
    before = tf.constant([[1.0, 0, 0.2], [0, 0, 0], [1, 0, 0.2]])
    given = tf.constant([[1.0, 1, 1, 0.9], [1, 1, 1, 0.9], [1, 1, 0, 0.9]])
    cell = chords.draw_cell(
        heads, before, tf.fill([3, 2], 0.99), Controls(None, tf.ones(3), None), given
    )
    expected = [[1, 1, 0.9], [1, 0, 0.9], [1, 0, 0.2]]
    np.testing.assert_allclose(cell, expected)


def test_xla_resamples_and_draws_the_same_particles():
    model = small.coupled_model(strength=4.0)
    chooser, rows = Particles(model, 4), 8
    given = np.zeros((rows, 6, 2, 4), np.float32)
    given[:, ::2, 1] = [1, 1, 0, 0.5]
    controls = Controls(
        seed=tf.constant([[3, k] for k in range(rows)]),
        temperature=tf.ones([rows]),
        style=tf.ones([rows, 1]),
        constraints=tf.constant(given),
    )
    start = chooser.zero_state(rows) | dict.fromkeys(particles.SUMS, tf.zeros([rows]))
    (cells, came_from, state), (xla_cells, xla_came_from, xla_state) = (
        tf.function(chooser.draw_chunk, jit_compile=jit, autograph=False)(
            start, 6, controls
        )
        for jit in (False, True)
    )
    assert len(set(came_from.numpy())) < rows  # some were resampled
    np.testing.assert_array_equal(cells, xla_cells)
    np.testing.assert_array_equal(came_from, xla_came_from)
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(xla_state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
