"""Layers run step by step, in pieces or with axes reordered equal a single call."""

import numpy as np
import pytest
import small_layers
import tensorflow as tf
from small_layers import shaken_layer as shaken

from poph_tf.models import layers


def pieces_of(x, *cuts):
    return np.split(x, cuts, axis=1)


def test_a_time_lstm_in_pieces_equals_the_whole():
    x = small_layers.layer_inputs(num_steps=7)["hidden"]
    layer = shaken(layers.AxisLSTM(4, "time"), x)
    state, parts = layer.zero_state(2 * 14), []
    for part in pieces_of(x, 3, 4):  # the middle piece is a single step
        out, state = layer.scan(part, state)
        parts.append(out)
    np.testing.assert_allclose(tf.concat(parts, 1), layer(x), atol=1e-6)


def test_a_single_step_without_a_state_begins_a_piece():
    x = small_layers.layer_inputs(num_steps=3)["hidden"]
    layer = shaken(layers.AxisLSTM(4, "time"), x)
    np.testing.assert_allclose(layer(x[:, :1]), layer(x)[:, :1], atol=1e-6)
    out, state = layer.scan(x[:, :1], None)
    rest, _ = layer.scan(x[:, 1:], state)
    np.testing.assert_allclose(tf.concat([out, rest], 1), layer(x), atol=1e-6)


def test_time_attention_in_pieces_equals_the_whole():
    x = small_layers.layer_inputs(num_steps=9)["hidden"]
    layer = shaken(layers.TimeAttention(3, num_heads=2, head_units=4), x)
    state, parts = layer.zero_state(2 * 14), []
    for part in pieces_of(x, 1, 6, 7, 8):  # longer and shorter than the window
        out, state = layer.scan(part, state)
        parts.append(out)
    np.testing.assert_allclose(tf.concat(parts, 1), layer(x), atol=1e-5)


@pytest.mark.parametrize("axis", ["time", "pitch"])
def test_lstm_steps_equal_the_scan(axis):
    x = small_layers.layer_inputs()["hidden"]
    layer = shaken(layers.AxisLSTM(4, axis), x)
    order = (1, 0, 2, 3) if axis == "time" else (2, 0, 1, 3)

    def rows(grid):
        """[place, row, features]: all cells at one place along the axis."""
        turned = np.transpose(grid, order)
        return turned.reshape(len(turned), -1, turned.shape[-1])

    state, outs = layer.zero_state(rows(x).shape[1]), []
    for row in rows(x):
        out, state = layer.step(layer.project(row), state)
        outs.append(out)
    np.testing.assert_allclose(np.stack(outs), rows(layer(x)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "names", "order"),
    [
        (
            lambda first: layers.AxisLSTM(4, "time", axis_first=first),
            ["hidden"],
            (1, 0, 2, 3),
        ),
        (
            lambda first: layers.AxisLSTM(4, "pitch", axis_first=first),
            ["hidden"],
            (2, 0, 1, 3),
        ),
        (
            lambda first: layers.StyleBias(axis_first=first),
            ["hidden", "embedding"],
            (1, 0, 2, 3),
        ),
        (
            lambda first: layers.FrameAttention(
                3, num_heads=2, head_units=4, time_major=first
            ),
            ["hidden", "frames"],
            (1, 0, 2, 3),
        ),
    ],
    ids=["time_lstm", "pitch_lstm", "style", "frames"],
)
def test_a_layer_gives_the_same_in_every_axis_order(make, names, order):
    given = [small_layers.layer_inputs()[name] for name in names]
    moved = [x.transpose(order) if x.ndim == 4 else x for x in given]
    plain, turned = shaken(make(False), *given), shaken(make(True), *moved)
    turned.set_weights(plain.get_weights())
    expected = np.transpose(plain(*given), order)
    np.testing.assert_allclose(turned(*moved), expected, atol=1e-6)


def test_steps_of_causal_pitch_attention_equal_the_call():
    x = small_layers.layer_inputs(num_steps=1)["hidden"]
    layer = shaken(layers.PitchAttention(causal=True, num_heads=2, head_units=4), x)
    state, outs = layer.zero_state(2, 14), []
    for n in range(14):
        out, state = layer.step(tf.constant(x[:, 0, n]), tf.constant(n), state)
        outs.append(out)
    np.testing.assert_allclose(np.stack(outs, 1), layer(x)[:, 0], atol=1e-6)
