"""Transposition, layer by layer: some outputs move with the notes, some stay.

Away from the edges of the roll, everything commutes with a shift by k semitones,
except pitch position and pitch class, which encode the absolute pitch.
"""

import numpy as np
import pytest
import small
import small_layers
import tensorflow as tf
from small_layers import shaken_layer as shaken

from poph_tf import config, models
from poph_tf.models import layers
from poph_tf.models.layers import features

NUM_PITCHES = 30
SHIFTS = [1, 12]


def centred(num_channels, seed=0, reach=6, binary=True):
    """Returns [2, 3, pitch, channel] with notes only in the middle of the roll."""
    rng = np.random.default_rng(seed)
    cells = np.zeros((2, 3, NUM_PITCHES, num_channels), np.float32)
    inside = slice(NUM_PITCHES // 2 - reach, NUM_PITCHES // 2)
    values = rng.random((2, 3, reach, num_channels))
    cells[:, :, inside] = values < 0.5 if binary else values
    return cells


def shift(x, k):
    """Moves [batch, time, pitch, ...] up by k semitones; zeros come in below."""
    moved = np.zeros_like(np.asarray(x))
    moved[:, :, k:] = np.asarray(x)[:, :, : np.shape(x)[2] - k]
    return moved


@pytest.mark.parametrize("k", SHIFTS)
def test_class_counts_move_with_a_transposition(k):
    play = centred(1)[..., 0]
    # Counts are not zero outside the notes, so compare only pitches that both have.
    for count in (features.own_class_count, features.relative_class_counts):
        before, after = count(play), count(shift(play[..., None], k)[..., 0])
        np.testing.assert_allclose(after[:, :, k:], before[:, :, :-k], atol=1e-6)


@pytest.mark.parametrize("k", SHIFTS)
def test_the_window_moves_with_a_transposition(k):
    cells = centred(3)
    np.testing.assert_array_equal(
        features.window(shift(cells, k), 7), shift(features.window(cells, 7), k)
    )


@pytest.mark.parametrize("k", SHIFTS)
@pytest.mark.parametrize("width", [24, 5])
def test_the_octave_convolution_moves_with_a_transposition(k, width):
    layer = small_features(width=width)
    cells = np.zeros((1, 2, 90, 3), np.float32)
    cells[:, :, 40:48] = np.random.default_rng(1).random((1, 2, 8, 3)) < 0.5
    shaken(layer, cells)
    before = layer._convolve(cells, None).numpy()
    after = layer._convolve(shift(cells, k), None).numpy()
    # It sees the ends of the roll near the edges, but must not further inside.
    inside, below = slice(24 + k, 66), slice(24, 66 - k)
    np.testing.assert_allclose(after[:, :, inside], before[:, :, below], atol=1e-6)
    assert np.abs(after - before)[:, :, inside].max() > 0.1


def small_features(**options):
    options = {"filters": 4, "width": 24} | options
    return layers.NoteFeatures(36, **options)


def test_pitch_position_and_pitch_class_do_not_move_with_a_transposition():
    cells = centred(3)
    layer = small_features()
    position, classes = slice(4, 5), slice(5, 17)
    before, after = layer(cells), layer(shift(cells, 2))
    for part in (position, classes):
        np.testing.assert_array_equal(before[..., part], after[..., part])
        moved = shift(before[..., part], 2)
        assert np.abs(moved[:, :, 2:] - after[:, :, 2:, part]).max() > 0


@pytest.mark.parametrize("k", SHIFTS)
def test_unmasked_attention_along_pitch_moves_with_a_rotation(k):
    # It sees a set of pitches, so it commutes with any permutation of them.
    x = small_layers.layer_inputs()["hidden"]
    layer = shaken(layers.PitchAttention(num_heads=2, head_units=4), x)
    np.testing.assert_allclose(
        layer(np.roll(x, k, axis=2)), np.roll(layer(x), k, axis=2), atol=1e-5
    )


@pytest.mark.parametrize("k", SHIFTS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.AxisLSTM(4, "time"),
        lambda: layers.TimeAttention(3, num_heads=2, head_units=4),
    ],
    ids=["time_lstm", "time_attention"],
)
def test_layers_along_time_read_all_pitches_alike(make, k):
    x = small_layers.layer_inputs()["hidden"]
    layer = shaken(make(), x)
    np.testing.assert_allclose(
        layer(np.roll(x, k, axis=2)), np.roll(layer(x), k, axis=2), atol=1e-5
    )


@pytest.mark.parametrize("k", SHIFTS)
def test_frame_attention_moves_with_a_rotation(k):
    given = small_layers.layer_inputs()
    x, previous = given["hidden"], given["frames"]
    layer = shaken(layers.FrameAttention(3, num_heads=2, head_units=4), x, previous)
    turned = layer(np.roll(x, k, axis=2), np.roll(previous, k, axis=2))
    np.testing.assert_allclose(
        turned, np.roll(layer(x, previous), k, axis=2), atol=1e-5
    )


@pytest.mark.parametrize("k", SHIFTS)
def test_the_pitch_lstm_moves_with_a_transposition_from_silence(k):
    # Walking up from pitch 0, it has passed k more rows of zeros.
    x = centred(3, binary=False)
    layer = shaken(layers.AxisLSTM(4, "pitch"), x)
    for variable in layer.trainable_variables:
        if "bias" in variable.path:
            variable.assign(tf.zeros_like(variable))
    np.testing.assert_allclose(layer(shift(x, k)), shift(layer(x), k), atol=1e-6)


@pytest.mark.parametrize("k", SHIFTS)
def test_the_nade_moves_with_a_transposition(k):
    cells, x = centred(3), np.zeros((2, 3, NUM_PITCHES, 6), np.float32)
    layer = shaken(layers.PitchNade(4, 5), x, cells)
    before, after = layer(x, cells), layer(x, shift(cells, k))
    np.testing.assert_allclose(after[:, :, k:], before[:, :, :-k], atol=1e-5)


def test_the_time_axis_of_poph2_moves_with_a_transposition_but_for_the_position():
    # Whole octaves, so that the pitch classes have equal shares at the edges.
    # Attention along pitch sees the edges and the position.
    settings = small.SIZES | {"num_pitches": 36, "min_pitch": 36}
    settings |= {"pitch_attention": "none"}
    network = models.build(config.preset("poph2", **settings)).network
    cells = np.pad(centred(3), [(0, 0), (0, 0), (3, 3), (0, 0)])
    others = {"bar_position": np.arange(6).reshape(2, 3), "style": np.ones((2, 1))}
    rng = np.random.default_rng(0)
    for _, lstm, _ in network.time_layers:
        kernel = rng.normal(size=lstm.lstm.cell.kernel.shape)
        if lstm is network.time_layers[0][1]:
            kernel[5 * 3] = 0.0  # the position comes after a window of 5 cells
        lstm.lstm.cell.kernel.assign(kernel)

    def hidden(k):
        out = network.time_axis(others | {"previous": shift(cells, k)})[0]
        return np.moveaxis(out, 0, 1)

    before, after = hidden(0), hidden(2)
    np.testing.assert_allclose(after[:, :, 2:], before[:, :, :-2], atol=1e-5)
    assert np.abs(after - before).max() > 0.1
