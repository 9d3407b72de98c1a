"""The layers: what each may see, what it commutes with, how it runs step by step."""

import keras
import numpy as np
import pytest
import small
import small_layers
import tensorflow as tf
from small_layers import shaken_layer as shaken

from poph_tf.models import layers
from poph_tf.models.layers import attention, features
from poph_tf.models.layers.autoregressive_context import lower_class_counts
from poph_tf.models.layers.chord_progression import ChordProgression
from poph_tf.models.layers.voice_ranges import VoiceRanges

NUM_PITCHES = 30


# Note features against plain loops.


def test_class_counts_equal_plain_loops():
    play = (np.random.default_rng(0).random((2, 3, NUM_PITCHES)) < 0.4).astype("f")
    own = np.zeros((2, 3, NUM_PITCHES, 1))
    relative = np.zeros((2, 3, NUM_PITCHES, 12))
    lower = np.zeros((2, 3, NUM_PITCHES, 12))
    for n in range(NUM_PITCHES):
        for m in range(NUM_PITCHES):
            relative[..., n, (m - n) % 12] += play[..., m]
            if (m - n) % 12 == 0:
                own[..., n, 0] += play[..., m]
            if m < n:
                lower[..., n, (m - n) % 12] += play[..., m]
    np.testing.assert_allclose(features.own_class_count(play), own)
    np.testing.assert_allclose(features.relative_class_counts(play), relative)
    np.testing.assert_allclose(lower_class_counts(tf.constant(play)), lower)


def test_the_window_equals_plain_loops():
    cells = np.random.default_rng(0).random((2, 3, 6, 2)).astype(np.float32)
    expected = np.zeros((2, 3, 6, 5, 2))
    for n in range(6):
        for k in range(5):
            if 0 <= n + k - 2 < 6:
                expected[:, :, n, k] = cells[:, :, n + k - 2]
    window = features.window(cells, 5)
    np.testing.assert_array_equal(window, expected.reshape(2, 3, 6, 10))


def test_pitch_position_and_class_by_hand():
    np.testing.assert_allclose(features.pitch_position(4)[:, 0], [0, 0.25, 0.5, 0.75])
    classes = features.pitch_class_one_hot(4, min_pitch=58).argmax(axis=1)
    np.testing.assert_array_equal(classes, [10, 11, 0, 1])


def test_features_are_in_their_documented_order():
    given = small_layers.layer_inputs()
    layer = layers.NoteFeatures(36, filters=3, width=5)
    out = layer(given["frames"], given["bar"]).numpy()
    assert out.shape[-1] == 3 + 1 + 12 + 1 + 4
    np.testing.assert_allclose(out[0, 0, :, 3], np.arange(14) / 14, rtol=1e-6)
    np.testing.assert_array_equal(out[0, 0, :, 4:16], np.eye(12)[np.arange(14) % 12])
    counts = features.own_class_count(given["frames"][..., 0])
    np.testing.assert_array_equal(out[..., 16:17], counts)
    np.testing.assert_array_equal(out[:, :, 5, 17:], given["bar"])


# Attention: what is masked is masked exactly.


def attended_by_hand(query, key, value, visible):
    """Plain softmax attention, [targets, units], over the visible sources only."""
    out = np.zeros_like(value, shape=(len(query), value.shape[-1]))
    for target, row in enumerate(visible):
        logits = key[row] @ query[target] / np.sqrt(query.shape[-1])
        weights = np.exp(logits - logits.max())
        out[target] = (weights / weights.sum()) @ value[row]
    return out


def test_attend_equals_softmax_attention_by_hand():
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 1, 2, 5, 4)).astype(np.float32)
    visible = np.tril(np.ones((5, 5), bool))
    out = attention.attend(query, key, value, (1.0 - visible) * attention.MASKED)
    for head in range(2):
        expected = attended_by_hand(
            query[0, head], key[0, head], value[0, head], visible
        )
        np.testing.assert_allclose(out[0, head], expected, atol=1e-6)


def test_distances_and_their_biases_by_hand():
    found = attention.distances(2, 3)  # the last target is the last source
    np.testing.assert_array_equal(found, [[1, 0, -1], [2, 1, 0]])
    table = tf.constant([[0.5, 0.25]])
    bias = attention.distance_bias(table, found)
    hidden = attention.MASKED
    np.testing.assert_array_equal(bias, [[[0.25, 0.5, hidden], [hidden, 0.25, 0.5]]])


def outside_change(layer, inputs, changed, *, axis, at):
    """Largest change of the output before place `at`, and from there on."""
    difference = np.abs(layer(*inputs) - layer(*changed))
    difference = np.moveaxis(difference, axis, 0)
    return difference[:at].max(initial=0.0), difference[at:].max()


@pytest.mark.parametrize("place", [1, 6, 13])
def test_causal_pitch_attention_sees_nothing_above(place):
    x = small_layers.layer_inputs()["hidden"]
    layer = shaken(layers.PitchAttention(causal=True, num_heads=2, head_units=4), x)
    changed = x.copy()
    changed[:, :, place:] += 1000.0
    below, above = outside_change(layer, [x], [changed], axis=2, at=place)
    assert below == 0.0 and above > 0.01


def test_time_attention_sees_a_bounded_past_and_no_future():
    x = small_layers.layer_inputs(num_steps=9)["hidden"]
    layer = shaken(layers.TimeAttention(3, num_heads=2, head_units=4), x)
    changed = x.copy()
    changed[:, 4] += 5.0
    moved = np.abs(layer(x) - layer(changed)).max(axis=(0, 2, 3)) > 0
    np.testing.assert_array_equal(moved, [s in (4, 5, 6) for s in range(9)])


# The notes drawn so far in a step.


def test_the_autoregressive_context_equals_plain_loops():
    cells = np.random.default_rng(0).random((2, 3, NUM_PITCHES, 2)).astype(np.float32)
    note = np.zeros((2, 3, NUM_PITCHES, 2))
    window = np.zeros((2, 3, NUM_PITCHES, 3, 2))
    for n in range(NUM_PITCHES):
        for k in range(1, 4):
            if n - k >= 0:
                window[:, :, n, 3 - k] = cells[:, :, n - k]
        note[:, :, n] = cells[:, :, n - 1] if n else 0.0
    np.testing.assert_array_equal(layers.AutoregressiveContext("note")(cells), note)
    seen = layers.AutoregressiveContext("window", 7)(cells).numpy()
    np.testing.assert_array_equal(seen[..., :6], window.reshape(2, 3, NUM_PITCHES, 6))
    counts = lower_class_counts(tf.constant(cells[..., 0]))
    np.testing.assert_array_equal(seen[..., 6:], counts)
    with pytest.raises(ValueError, match="kind"):
        layers.AutoregressiveContext("chord")


@pytest.mark.parametrize(("kind", "width"), [("note", 7), ("window", 7), ("window", 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_steps_of_the_autoregressive_context_equal_the_call(kind, width, channels):
    cells = small_layers.layer_inputs(num_steps=1)["frames"][..., :channels]
    layer = layers.AutoregressiveContext(kind, width)
    state, seen = layer.zero_state(2, channels), []
    before = np.zeros_like(cells[:, 0, 0])
    for n in range(small.NUM_PITCHES):
        out, state = layer.step(tf.constant(before), state)
        seen.append(out)
        before = cells[:, 0, n]
    np.testing.assert_array_equal(np.stack(seen, 1), layer(cells)[:, 0])
    assert seen[0].shape[-1] == layer.num_features(channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_steps_of_the_nade_equal_the_call(channels):
    given = small_layers.layer_inputs(num_steps=1)
    x, frames = given["hidden"], given["frames"][..., :channels]
    layer = shaken(layers.PitchNade(4, 5), x, frames)
    state, outs = layer.zero_state(2, channels), []
    drawn = np.zeros_like(frames[:, 0, 0])
    for n in range(14):
        out, state = layer.step(tf.constant(x[:, 0, n]), tf.constant(drawn), state)
        outs.append(out)
        drawn = frames[:, 0, n]
    np.testing.assert_allclose(np.stack(outs, 1), layer(x, frames)[:, 0], atol=1e-6)


def test_hidden_units_of_the_nade_by_hand():
    # The notes below are seen as (below, class counts); one feature, one unit.
    layer = layers.PitchNade(1, 3)
    x, frames = np.full((1, 1, 3, 1), 2.0, np.float32), np.ones((1, 1, 3, 1), "f")
    layer(x, frames)
    kernel, bias = layer.hidden_bias.trainable_variables
    kernel.assign([[3.0]])
    bias.assign([0.25])
    (seen,) = layer.hidden.trainable_variables
    # Counts by interval: of the notes two and one semitones below.
    seen.assign(np.float32([0.5, *[0] * 10, 10, 20])[:, None])
    sums = 6.25 + np.array([0, 0.5 + 20, 0.5 + 20 + 10])
    out = layer(x, frames)[0, 0]
    np.testing.assert_allclose(out[:, 0], 1 / (1 + np.exp(-sums)), rtol=1e-5)
    np.testing.assert_array_equal(out[:, 1], 2.0)
    seen.assign(-seen)
    out = layer(x, frames)[0, 0]
    signed = 6.25 - (sums - 6.25)
    np.testing.assert_allclose(out[:, 0], 1 / (1 + np.exp(-signed)), rtol=1e-5)


def test_the_nade_sees_only_lower_notes():
    given = small_layers.layer_inputs()
    x, frames = given["hidden"], given["frames"]
    layer = shaken(layers.PitchNade(4, 5), x, frames)
    for place in (0, 5, 13):
        changed = frames.copy()
        changed[:, :, place] = 1.0 - changed[:, :, place]
        moved = np.abs(layer(x, frames) - layer(x, changed)).max(axis=(0, 1, 3)) > 0
        # Its window and class counts reach every pitch above.
        np.testing.assert_array_equal(moved, np.arange(14) > place)


# What all layers share.


def called(layer, names, given):
    return layer(*[tf.constant(given[name]) for name in names])


@pytest.mark.parametrize("name", small_layers.LAYERS)
def test_pieces_of_a_batch_do_not_touch_each_other(name):
    layer, names = small_layers.LAYERS[name]()
    given, other = small_layers.layer_inputs(3), small_layers.layer_inputs(3, seed=1)
    shaken(layer, *[given[n] for n in names])
    mixed = {n: np.concatenate([given[n][:2], other[n][2:]]) for n in names}
    batch_axis = 1 if name in small_layers.TIME_MAJOR_LAYERS else 0
    before, after = (
        np.moveaxis(called(layer, names, g), batch_axis, 0) for g in (given, mixed)
    )
    np.testing.assert_array_equal(before[:2], after[:2])
    assert np.abs(before[2] - after[2]).max() > 0


@pytest.mark.parametrize("name", small_layers.LAYERS)
def test_a_layer_is_restored_from_its_config_and_weights(name, tmp_path):
    layer, names = small_layers.LAYERS[name]()
    given = small_layers.layer_inputs()
    shaken(layer, *[given[n] for n in names])
    inputs = [keras.Input(given[n].shape[1:], name=n) for n in names]
    model = keras.Model(inputs, layer(*inputs))
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path, safe_mode=True)
    arguments = [given[n] for n in names]
    np.testing.assert_array_equal(model(arguments), again(arguments))
    (copy,) = [k for k in again.layers if type(k) is type(layer)]
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("layer", [ChordProgression(8), VoiceRanges(4, 48)])
def test_a_counted_layer_is_restored_from_its_config_and_stays_untrained(layer):
    copy = type(layer).from_config(layer.get_config())
    copy.build()
    assert copy.get_config() == layer.get_config()
    assert copy.weights
    assert not copy.trainable_weights


@pytest.mark.parametrize(
    ("layer", "old_name", "old_options"),
    [
        (layers.AutoregressiveContext("window", 5), "ChosenNotes", {}),
        (layers.AxisLSTM(4, "time", True), "AxisLSTM", {"axis_first": "place_first"}),
        (layers.StyleBias(0.1, True), "StyleBias", {"axis_first": "place_first"}),
        (
            layers.FrameAttention(3, time_major=True),
            "FrameAttention",
            {"time_major": "place_first"},
        ),
    ],
    ids=["context", "lstm", "style", "frames"],
)
def test_a_layer_stored_under_its_old_names_is_read(layer, old_name, old_options):
    stored = keras.saving.serialize_keras_object(layer)
    assert stored["registered_name"] == f"poph_tf>{type(layer).__name__}"
    config = {old_options.get(k, k): v for k, v in stored["config"].items()}
    names = {"class_name": old_name, "registered_name": f"poph_tf>{old_name}"}
    old = stored | names | {"config": config}
    again = keras.saving.deserialize_keras_object(old)
    assert type(again) is type(layer)
    for option, value in stored["config"].items():
        if option not in ("dtype", "name"):
            assert getattr(again, option) == value


def test_options_that_older_files_lack_have_the_values_that_they_meant():
    expected = {
        layers.FrameAttention(3): {"num_heads": 4, "head_units": 32, "num_tracks": 1},
        layers.NoteFeatures(36): {"num_tracks": 1, "dropout": 0.0},
        layers.PitchAttention(): {"causal": False, "num_heads": 4, "dropout": 0.0},
        layers.TrackNotes(): {"width": 25},
        layers.AxisLSTM(4, "time"): {"axis_first": False, "use_bias": True},
    }
    for layer, options in expected.items():
        assert {name: getattr(layer, name) for name in options} == options


def test_every_exported_layer_is_in_the_list():
    listed = {type(make()[0]).__name__ for make in small_layers.LAYERS.values()}
    assert listed == set(layers.__all__)


def test_an_axis_lstm_on_pitch_never_mixes_steps():
    x = small_layers.layer_inputs()["hidden"]
    layer = layers.AxisLSTM(4, "pitch")
    changed = x.copy()
    changed[:, 2] += 1.0
    moved = np.abs(layer(x) - layer(changed)).max(axis=(0, 2, 3)) > 0
    np.testing.assert_array_equal(moved, [False, False, True, False, False])


def test_style_enters_every_cell_as_tanh_of_a_dense_layer():
    given = small_layers.layer_inputs()
    x, embedding = given["hidden"], given["embedding"]
    layer = shaken(layers.StyleBias(), x, embedding)
    kernel, bias = (v.numpy() for v in layer.dense.trainable_variables)
    added = np.tanh(embedding @ kernel + bias)[:, None, None]
    np.testing.assert_allclose(layer(x, embedding), x + added, atol=1e-6)


def test_the_harmony_layer_adds_its_mean_over_valid_steps_and_changes_nothing():
    from poph_tf.models import losses

    given = small_layers.layer_inputs()
    given["mask"][0, 2:] = given["mask"][1, 4:] = 0.0
    layer = layers.HarmonyLoss(2.0, 40)
    out = layer(given["play"], given["mask"])
    np.testing.assert_array_equal(out, given["play"])
    term = losses.harmony(tf.sigmoid(given["play"]), 40).numpy()
    mean = np.concatenate([term[0, :2], term[1, :4]]).mean()
    np.testing.assert_allclose(float(layer.losses[0]), 2.0 * mean, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.AxisLSTM(4, "bar"), "axis must be"),
        (lambda: layers.NoteFeatures(36, "octaves"), "kind must be"),
        (
            lambda: layers.NoteFeatures(36, class_counts="none"),
            "class_counts must be own or relative",
        ),
    ],
)
def test_an_impossible_option_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dropout_keeps_the_mean_and_drops_cells_independently():
    keras.utils.set_random_seed(1)
    layer, x = layers.Dropout(0.3), tf.ones((50, 40, 7, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, training=True)
    kept = out.numpy() != 0
    # 77 of 256 byte values drop; over 42,000 cells, the share is within 5 deviations.
    assert kept.mean() == pytest.approx(1 - 77 / 256, abs=0.012)
    np.testing.assert_allclose(out.numpy()[kept], 256 / 179, rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(out, x), out)
    for axis in range(4):  # neighbours are dropped independently
        cells = np.moveaxis(kept, axis, 0)
        both = (~cells[1:] & ~cells[:-1]).mean()
        assert both == pytest.approx((77 / 256) ** 2, abs=0.012), axis
    again = layer(x, training=True)
    assert (again.numpy() != 0).mean() == pytest.approx(kept.mean(), abs=0.015)
    assert ((again.numpy() != 0) != kept).mean() > 0.3
    np.testing.assert_array_equal(layer(x), x)


def test_dropout_drops_the_share_that_its_rate_says():
    x = tf.ones((100, 100))
    np.testing.assert_array_equal(layers.Dropout(0.0)(x, training=True), x)
    most = layers.Dropout(0.9999)(x, training=True).numpy()
    np.testing.assert_allclose(most[most != 0], 256.0)
    assert 0 < (most != 0).mean() < 0.02


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", small_layers.LAYERS)
def test_keras_learns_the_output_before_it_is_computed(name, policy):
    layer, names = small_layers.LAYERS[name]()
    given = [small_layers.layer_inputs()[name] for name in names]
    told = layer(*(keras.KerasTensor((None, *x.shape[1:])) for x in given))
    out = layer(*map(tf.constant, given))
    assert told.dtype == out.dtype
    assert len(told.shape) == len(out.shape)
    assert all(a in (None, b) for a, b in zip(told.shape, out.shape, strict=True))
