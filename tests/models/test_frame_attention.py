"""Attention by frames: what it recalls, against plain loops and by hand."""

import numpy as np
import small_layers
import tensorflow as tf
from small_layers import shaken_layer as shaken

from poph_tf.models import layers
from poph_tf.models.layers import frame_attention


def test_it_recalls_a_bounded_past_and_not_the_present():
    given = small_layers.layer_inputs(num_steps=9)
    x, previous = given["hidden"], given["frames"]
    layer = shaken(layers.FrameAttention(3, num_heads=2, head_units=4), x, previous)
    changed = x.copy()
    changed[:, 2] += 5.0
    recalled = np.abs(layer(x, previous) - layer(changed, previous))[..., 6:]
    moved = recalled.max(axis=(0, 2, 3)) > 0
    # Step 2 is a query; as a key, its frame is visible for three steps from step 3 on.
    np.testing.assert_array_equal(moved, [s in (2, 3, 4, 5) for s in range(9)])


def test_it_gives_back_the_frame_it_attends_to():
    # One head that looks at the step before (its bias outweighs all) recalls it.
    given = small_layers.layer_inputs(num_steps=6)
    x, previous = given["hidden"], given["frames"]
    previous[..., 1] *= previous[..., 0]
    layer = layers.FrameAttention(3, num_heads=1, head_units=4)
    layer(x, previous)
    layer.distance_bias.assign([[1000.0, 0.0, 0.0]])
    recalled = layer(x, previous).numpy()[..., 6:]
    np.testing.assert_array_equal(recalled[:, 0], 0.0)  # nothing before the window
    play, before = previous[:, 1:, :, 0], previous[:, :-1, :, 0]
    replay = previous[:, 1:, :, 1]
    np.testing.assert_allclose(recalled[:, 1:, :, 0], play, atol=1e-6)
    onset = play * np.where(before > 0, replay, 1.0)
    np.testing.assert_allclose(recalled[:, 1:, :, 1], onset, atol=1e-6)


def test_it_abstains_where_nothing_matches():
    given = small_layers.layer_inputs(num_steps=6)
    layer = layers.FrameAttention(3, num_heads=1, head_units=4)
    layer(given["hidden"], given["frames"])
    layer.distance_bias.assign([[-1000.0] * 3])
    recalled = layer(given["hidden"], given["frames"])[..., 6:]
    np.testing.assert_array_equal(recalled, 0.0)


def recalled_by_loops(layer, x, previous):
    """What the layer adds, in plain loops: float [batch, time, pitch, 2 * heads].

    `previous` holds play and replay of frame t - 1; frame s is previous[:, s + 1].
    """
    (w_query, b_query), (w_key, b_key) = (
        [v.numpy() for v in dense.trainable_variables]
        for dense in (layer.ask, layer.tell)
    )
    bias, width = layer.distance_bias.numpy(), layer.head_units
    num_rows, num_steps, num_pitches, _ = x.shape
    out = np.zeros((num_rows, num_steps, num_pitches, 2 * layer.num_heads))
    for row, t, head in np.ndindex(num_rows, num_steps, layer.num_heads):
        units = slice(head * width, (head + 1) * width)
        pooled = [_pooled(x[row, s], previous[row, s, :, 0]) for s in range(t + 1)]
        query = (pooled[t] @ w_query + b_query)[units]
        sources = range(max(t - layer.max_steps, 0), t)
        scores = [0.0]  # the null place
        for s in sources:
            key = (pooled[s] @ w_key + b_key)[units]
            scores.append(query @ key / np.sqrt(width) + bias[head, t - 1 - s])
        weights = np.exp(scores) / np.exp(scores).sum()
        for weight, s in zip(weights[1:], sources, strict=True):
            play, replay = previous[row, s + 1, :, 0], previous[row, s + 1, :, 1]
            held = previous[row, s, :, 0] * (1 - replay)
            out[row, t, :, 2 * head] += weight * play
            out[row, t, :, 2 * head + 1] += weight * play * (1 - held)
    return out


def _pooled(hidden, play):
    sounding = play @ hidden / max(play.sum(), 1)
    return np.concatenate([hidden.mean(axis=0), sounding])


def test_it_equals_plain_loops():
    given = small_layers.layer_inputs(num_steps=6)
    x, previous = given["hidden"], given["frames"]
    previous[:, 3, :, 0] = 0.0  # a silent frame has no sounding pitch to pool
    previous[:, 0] = 0.0
    layer = shaken(layers.FrameAttention(4, num_heads=2, head_units=3), x, previous)
    out = layer(x, previous).numpy()
    np.testing.assert_array_equal(out[..., :6], x)
    expected = recalled_by_loops(layer, x, previous)
    np.testing.assert_allclose(out[..., 6:], expected, atol=1e-5)
    assert expected[:, 1:].max() > 0.3


def test_it_by_hand():
    # One pitch, one unit, query and key always 1, distance biases 0 and ln 2: at the
    # third step the two frames and null weigh e : 2e : 1.
    x = np.zeros((1, 3, 1, 1), np.float32)
    previous = np.array([0, 1, 1], np.float32).reshape(1, 3, 1, 1)
    layer = layers.FrameAttention(2, num_heads=1, head_units=1)
    layer(x, previous)
    for dense in (layer.ask, layer.tell):
        dense.bias.assign([1.0])
    layer.distance_bias.assign([[0.0, np.log(2.0)]])
    e = np.e
    play = [0, e / (e + 1), 3 * e / (3 * e + 1)]
    onset = [0, e / (e + 1), 2 * e / (3 * e + 1)]  # struck in frame 0, held in 1
    recalled = layer(x, previous).numpy()[0, :, 0, 1:]
    np.testing.assert_allclose(recalled, np.stack([play, onset], 1), atol=1e-6)


def test_pooling_by_hand():
    x = np.array([[[[1.0], [2.0], [6.0]], [[3.0], [3.0], [0.0]]]], np.float32)
    play = np.array([[[0, 1, 1], [0, 0, 0]]], np.float32)
    np.testing.assert_allclose(
        frame_attention.pool(x, play), [[[3.0, 4.0], [2.0, 0.0]]]
    )
    np.testing.assert_allclose(frame_attention.pool(x[0, 0], play[0, 0]), [3.0, 4.0])


def test_onsets_by_hand():
    # One pitch: begins, continues, is struck again, ends, begins.
    play, replay = [1, 1, 1, 0, 1], [0, 0, 1, 0, 0]
    for channels in ([play], [play, replay], [play, replay, replay]):
        frames = np.float32(channels).T[None, :, None]
        struck = [0, 0, float(len(channels) > 1), 0, 1]
        found = frame_attention.onsets(frames, tf.ones((1, 1)))[0, :, 0]
        np.testing.assert_array_equal(found, np.transpose([play, struck]))


def test_it_in_pieces_equals_the_whole():
    given = small_layers.layer_inputs(num_steps=9)
    x, previous = given["hidden"], given["frames"]
    previous[:, 0] = 0.0  # a piece begins after silence
    layer = shaken(layers.FrameAttention(3, num_heads=2, head_units=4), x, previous)
    state, parts = layer.zero_state(2, 14), []
    cuts = (1, 6, 7, 8)  # longer and shorter than its look-back
    for part, before in zip(
        np.split(x, cuts, axis=1), np.split(previous, cuts, axis=1), strict=True
    ):
        out, state = layer.scan(part, before, state)
        parts.append(out)
    np.testing.assert_allclose(tf.concat(parts, 1), layer(x, previous), atol=1e-5)
