"""Whole models: what each output may depend on, saving and loading."""

import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config, models
from poph_tf.errors import InputError
from poph_tf.models import losses

NUM_STEPS = 3
STYLE_NAMES = tuple(f"style {k}" for k in range(23))


def batch_of(name, num_rows=2, num_steps=NUM_STEPS, seed=0):
    """Arbitrary inputs, including the first frame, as in the middle of a piece."""
    rng = np.random.default_rng(seed)
    grid = (num_rows, num_steps, small.NUM_PITCHES, 3)
    num_styles = len(small.model_config(name).styles)
    return {
        "previous": (rng.random(grid) < 0.3).astype(np.float32),
        "current": (rng.random(grid) < 0.3).astype(np.float32),
        "bar_position": rng.integers(0, 16, grid[:2]).astype(np.int32),
        "style": rng.dirichlet(np.ones(num_styles), num_rows).astype(np.float32),
        "mask": np.ones(grid[:2], np.float32),
    }


def outputs_of(model, inputs):
    """All outputs in one array, [row, time, pitch, output]."""
    outputs = model(inputs)
    return np.stack([outputs[key] for key in sorted(outputs)], axis=-1)


def every_cell():
    """All places of the time-dependent inputs of one piece: (input, index)."""
    cells = np.ndindex(NUM_STEPS, small.NUM_PITCHES, 3)
    places = [(name, cell) for cell in cells for name in ("previous", "current")]
    return places + [("bar_position", (t,)) for t in range(NUM_STEPS)]


def changes(model, inputs, places):
    """How far the outputs move when one place of the inputs changes.

    Args:
        model: PolyphonyModel.
        inputs: dict, of one piece.
        places: list of (input, index).

    Returns:
        float [place, time, pitch], exactly 0 where nothing moved: both passes have
        the same shapes and therefore the same rounding.
    """
    many = {k: np.repeat(v, len(places), axis=0) for k, v in inputs.items()}
    before = outputs_of(model, many)
    for row, (name, index) in enumerate(places):
        value = many[name][(row, *index)]
        changed = (value + 1) % 16 if name == "bar_position" else 1.0 - value
        many[name][(row, *index)] = changed
    return np.abs(outputs_of(model, many) - before).max(axis=-1)


def allowed(config, name, index):
    """Cells that a place may change and those that it must, bool [time, pitch]."""
    steps, places = np.arange(NUM_STEPS), np.arange(small.NUM_PITCHES)
    may, must = np.zeros((2, len(steps), len(places)), bool)
    if name != "current":
        # previous[t] is the frame before t: it affects t and all later steps.
        may[index[0] :] = True
        must[index[0], index[1:2]] = True
        return may, must
    step, pitch, _ = index
    up = -1 if config.pitch_order == "descending" else 1
    may[step] = places * up > pitch * up
    if 0 <= pitch + up < len(places):
        must[step, pitch + up] = True
    return may, must


@pytest.mark.parametrize("name", small.VARIANTS)
def test_an_output_depends_only_on_earlier_frames_and_pitches_drawn_before(name):
    model, places = small.model(name), every_cell()
    moved = changes(model, batch_of(name, num_rows=1), places)
    for (source, index), move in zip(places, moved, strict=True):
        may, must = allowed(model.config, source, index)
        assert move[~may].max(initial=0.0) == 0.0, (source, index)
        known = (
            index[-1] in model.network.channels
            if source != "bar_position"
            else model.config.bar_positions > 0
        )
        assert ((move[must] > 0) == known).all(), (source, index)
        if source == "previous" and known:
            assert move[-1].max() > 0, (source, index)


@pytest.mark.parametrize("name", small.VARIANTS)
def test_pieces_of_a_batch_do_not_touch_each_other(name):
    model, inputs = small.model(name), batch_of(name, num_rows=3)
    other = batch_of(name, num_rows=3, seed=1)
    mixed = {k: np.concatenate([inputs[k][:2], other[k][2:]]) for k in inputs}
    before, after = outputs_of(model, inputs), outputs_of(model, mixed)
    np.testing.assert_array_equal(before[:2], after[:2])
    assert np.abs(before[2] - after[2]).max() > 0


@pytest.mark.parametrize("name", small.VARIANTS)
def test_a_saved_model_is_loaded_with_the_same_outputs(name, tmp_path):
    model, inputs = small.model(name), batch_of(name)
    models.save(model, str(tmp_path))
    again = models.load(tmp_path)
    assert again.config == model.config
    expected, outputs = model(inputs), again(inputs)
    assert set(outputs) == set(expected)
    for key in expected:
        np.testing.assert_array_equal(outputs[key], expected[key])


@pytest.mark.parametrize("name", small.VARIANTS)
def test_every_weight_has_a_gradient(name):
    model, batch = small.model(name), batch_of(name)
    batch["current"][..., 0] = 1.0  # replay and volume need a sounding note
    with tf.GradientTape() as tape:
        outputs = model(batch)
        terms = losses.likelihood_terms(outputs, batch["current"])
        loss = tf.add_n([tf.reduce_sum(t) for t in terms.values()])
        loss += tf.add_n([tf.zeros(()), *model.losses])
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("name", small.VARIANTS)
def test_windows_with_carried_state_equal_the_whole_piece(name):
    model = small.model(name)
    frames = small.frames_of([small.random_piece(k, 9) for k in range(2)])
    style = np.eye(len(model.config.styles))[0]
    inputs = small.inputs_of(frames, style=style)
    inputs = {k: tf.constant(v) for k, v in inputs.items()}
    state, parts = model.network.zero_state(2), []
    for start, end in ((0, 4), (4, 5), (5, 9)):
        window = {k: v[:, start:end] if k != "style" else v for k, v in inputs.items()}
        hidden, state = model.network.time_axis(window, state)
        parts.append(model.network.pitch_axis(hidden, window)["play"])
    np.testing.assert_allclose(tf.concat(parts, 1), model(inputs)["play"], atol=1e-5)


def test_outputs_follow_the_config():
    expected = {
        "deepj": ["play", "replay", "volume"],
        "biaxial": ["play", "replay"],
        "tp_lstm_nade": ["play"],
        "without_replay_one_layer": ["play", "volume"],
    }
    for name, names in expected.items():
        assert small.model(name).network.output_names == names
        assert sorted(small.model(name)(batch_of(name))) == sorted(names)


def test_inputs_that_a_model_does_not_use_are_ignored():
    model, inputs = small.model("play_only"), batch_of("play_only")
    extra = inputs | {"key": np.zeros(2), "style": np.zeros((2, 9), np.float32)}
    lean = {k: inputs[k] for k in ("previous", "current")}
    expected = model(inputs)["play"]
    for given in (extra, lean):
        np.testing.assert_array_equal(model(given)["play"], expected)


def test_a_missing_input_is_named():
    inputs = batch_of("deepj")
    del inputs["bar_position"]
    with pytest.raises(ValueError, match="lacks .*bar_position"):
        small.model("deepj")(inputs)


def test_the_mask_affects_only_the_harmony_term():
    model, inputs = small.model("poph"), batch_of("poph")
    whole = model(inputs)["play"].numpy()
    term = float(model.losses[0])
    without = model({k: v for k, v in inputs.items() if k != "mask"})["play"]
    np.testing.assert_array_equal(without, whole)
    assert float(model.losses[0]) == pytest.approx(term)
    inputs["mask"][:, 2:] = 0.0
    np.testing.assert_array_equal(model(inputs)["play"], whole)
    valid = losses.harmony(tf.sigmoid(whole[:, :2]), model.config.min_pitch)
    assert float(model.losses[0]) == pytest.approx(float(np.mean(valid)), rel=1e-5)


def test_bar_positions_beyond_the_last_place_share_it():
    model, inputs = small.model("deepj"), batch_of("deepj")
    last = inputs | {"bar_position": np.full((2, NUM_STEPS), 15, np.int32)}
    beyond = inputs | {"bar_position": np.full((2, NUM_STEPS), 23, np.int32)}
    np.testing.assert_array_equal(outputs_of(model, last), outputs_of(model, beyond))


def test_style_moves_the_outputs_and_mixes():
    name = "poph"
    model, inputs = small.model(name), batch_of(name)
    rows = [np.tile([[a, 1 - a]], (2, 1)).astype(np.float32) for a in (0.0, 0.5, 1.0)]
    first, mixed, second = (outputs_of(model, inputs | {"style": r}) for r in rows)
    assert np.abs(first - second).max() > 0.01
    assert np.abs(first - mixed).max() > 0.005 < np.abs(second - mixed).max()


def test_deepj_with_23_styles_has_the_published_number_of_parameters():
    full = config.preset("deepj", styles=STYLE_NAMES, style_shares=(1 / 23,) * 23)
    assert models.build(full).count_params() == 1_269_476


@pytest.mark.parametrize("name", ["attention_by_frames", "poph2"])
def test_a_preset_in_bfloat16_gives_about_the_same(name):
    reference, inputs = small.model(name), batch_of(name)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = models.build(small.model_config(name))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    mixed.set_weights(reference.get_weights())
    outputs, expected = mixed(inputs), reference(inputs)
    for key in expected:
        assert outputs[key].dtype == tf.float32
        np.testing.assert_allclose(outputs[key], expected[key], atol=0.15)


def test_configs_go_to_json_and_back():
    for name in small.VARIANTS:
        original = small.model_config(name)
        assert config.ModelConfig.from_dict(original.to_dict()) == original
    training = config.TrainingConfig(max_steps=10, schedule="cosine")
    assert config.TrainingConfig.from_dict(training.to_dict()) == training


def test_a_config_is_frozen_and_refuses_unknown_keys():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.preset("deepj").dropout = 0.1
    with pytest.raises(InputError, match="num_time_unit.*num_time_units"):
        config.ModelConfig.from_dict({"num_time_unit": 3})
    with pytest.raises(InputError, match="preset must be one of.*'transformer'"):
        config.preset("transformer")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_pitch": 100}, "at most 128, got 100 [+] 48"),
        ({"window_width": 24}, "window_width must be odd"),
        (
            {"tracks": small.MELODY_AND_CHORDS, "num_track_units": 5},
            "must equal num_pitch_units, got 5 and 128",
        ),
        (
            {"num_time_units": 0},
            "num_time_units must be a whole number from 1 to 8192, got 0",
        ),
        ({"num_time_units": 2.5}, "must be a whole number from 1 to 8192, got 2.5"),
        ({"replay": 1}, "replay must be true or false"),
        ({"dropout": True}, "dropout must be a number"),
        ({"dropout": "much"}, "dropout must be"),
        (
            {"dropout": float("nan")},
            "dropout must be a number from 0.0 to 0.95, got nan",
        ),
        ({"time_attention": "all"}, "time_attention must be one of"),
        ({"styles": "bach"}, "styles must be a list"),
        ({"styles": 3}, "styles must be a list"),
        ({"styles": (1, 2), "style_shares": (0.5, 0.5)}, "styles must be a list"),
        ({"styles": ("a", "b")}, "one share for each of the 2"),
        ({"styles": ("a", "a"), "style_shares": (1, 1)}, "distinct"),
        ({"style_shares": ("all",)}, "style_shares must be a list"),
        ({"preset": "a/b"}, "preset must be one of"),
    ],
)
def test_an_impossible_setting_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        config.preset("deepj", **settings)


def test_attention_in_place_of_pitch_and_a_nade_exclude_each_other():
    with pytest.raises(InputError, match="pitch_model"):
        config.preset("tp_lstm_nade", pitch_attention="in_place_of_pitch")


def test_loading_something_else_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no model directory"):
        models.load(tmp_path / "none")
    with pytest.raises(InputError, match="holds no model.keras"):
        models.load(tmp_path)
    (tmp_path / "1").mkdir()
    for name, hint in (
        ("1/saved_model.pb", "it is a SavedModel export"),
        (models.LIGHT_FILE, "it is a converted model"),
        ("dataset_info.json", "it is a data set: train on it"),
    ):
        (tmp_path / name).write_text("")
        with pytest.raises(InputError, match=f"holds no model.keras: {hint}"):
            models.load(tmp_path)
    path = tmp_path / models.WEIGHTS_FILE
    path.write_text("no archive")
    with pytest.raises(InputError, match="is not a model"):
        models.load(tmp_path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "nothing")
    with pytest.raises(InputError, match="is not a model"):
        models.load(tmp_path)


def test_a_truncated_model_file_is_an_input_error(tmp_path):
    models.save(small.model("biaxial"), str(tmp_path))
    path = tmp_path / models.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="is not a model"):
        models.load(tmp_path)


def test_a_model_file_from_a_stranger_runs_no_code(tmp_path):
    inputs = keras.Input((2,))
    mark = tmp_path / "ran"
    hostile = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1.0)(inputs))
    hostile.save(tmp_path / "lambda.keras")
    with pytest.raises(InputError, match=r"lambda.keras is not a model of poph_tf"):
        models.load(tmp_path / "lambda.keras")
    # A class of any module, with arguments chosen by the file's author.
    parts = {"module": "os", "class_name": "system", "registered_name": None}
    written = {**parts, "config": {"command": f"touch {mark}"}, "build_config": None}
    with zipfile.ZipFile(tmp_path / "module.keras", "w") as file:
        file.writestr("config.json", json.dumps(written))
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", "")
    with pytest.raises(InputError, match=r"module.keras is not a model of poph_tf"):
        models.load(tmp_path / "module.keras")
    assert not mark.exists()


def test_a_model_file_that_is_cut_short_is_called_damaged(tmp_path):
    path = tmp_path / "model.keras"
    small.model("biaxial").save(path)
    path.write_bytes(path.read_bytes()[:1000])
    for read in (models.load, models.read_config):
        with pytest.raises(InputError, match=r"model.keras is damaged"):
            read(tmp_path)
