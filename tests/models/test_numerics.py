"""Learning rates by hand, mixed precision, starting from another model's weights."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config, models
from poph_tf.data import examples
from poph_tf.errors import InputError
from poph_tf.training import finetuning, optimizers, train_step
from poph_tf.training import trainer as trainer_lib


def rate(step, **settings):
    made = optimizers.learning_rate(config.TrainingConfig(**settings))
    return float(made(step)) if callable(made) else made


def test_muon_optimizes_the_inner_matrices():
    model = models.build(small.model_config("poph2", **small.STYLES))
    made = optimizers.make(config.TrainingConfig(optimizer="muon"))
    made.build(model.trainable_variables)
    by_adam = {
        variable.path
        for variable, velocity in zip(
            model.trainable_variables, made.adam_velocities, strict=True
        )
        if velocity is not None
    }
    matrices = {v.path for v in model.trainable_variables if len(v.shape) == 2}
    assert {v.path for v in model.trainable_variables} - matrices <= by_adam
    assert by_adam & matrices == {
        "style_embedding/kernel",
        "frame_attention/distance_bias",
        "heads/kernel",
    }


def test_a_constant_rate_is_a_number():
    assert rate(0, learning_rate=0.004) == 0.004


@pytest.mark.parametrize(("step", "share"), [(0, 0), (5, 0.25), (20, 1), (500, 1)])
def test_warm_up_is_linear_then_constant(step, share):
    found = rate(step, learning_rate=0.004, warmup_steps=20)
    assert found == pytest.approx(0.004 * share, abs=1e-9)


@pytest.mark.parametrize(
    ("step", "share"),
    # After the warm-up 100 steps of (1 + cos) / 2 from 1 to 0.01: at a quarter
    # 0.01 + 0.99 * (1 + 0.70711) / 2, half way 0.01 + 0.99 / 2.
    [(0, 0), (10, 0.5), (20, 1), (45, 0.85502), (70, 0.505), (120, 0.01), (200, 0.01)],
)
def test_a_cosine_rises_and_falls_to_a_hundredth(step, share):
    settings = {"learning_rate": 0.004, "schedule": "cosine", "max_steps": 120}
    found = rate(step, warmup_steps=20, **settings)
    assert found == pytest.approx(0.004 * share, rel=1e-4, abs=1e-9)


def test_a_cosine_without_warm_up_starts_at_its_maximum():
    settings = {"learning_rate": 0.004, "schedule": "cosine", "max_steps": 100}
    assert rate(0, **settings) == pytest.approx(0.004)
    assert rate(50, **settings) == pytest.approx(0.004 * 0.505, rel=1e-4)


def batch_of(seed=0):
    frames = small.frames_of([small.random_piece(seed + k, 12) for k in range(4)])
    return {k: tf.constant(v) for k, v in small.inputs_of(frames).items()}


def losses_in(policy, num_steps=6):
    """Losses of a few steps on one batch, and the step that took them."""
    keras.utils.set_random_seed(1)
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        settings = small.model_config(
            "poph",
            styles=("any",),
            style_shares=(1.0,),
            num_time_layers=1,
            num_pitch_layers=1,
        )
        model = models.build(small.without_dropout(settings))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)
    step = train_step.TrainStep(model, optimizer, tf.distribute.get_strategy())
    sums = [step.run(batch_of()) for _ in range(num_steps)]
    return sums, model


def test_bfloat16_trains_with_weights_and_losses_in_float32():
    sums, model = losses_in("mixed_bfloat16")
    assert model.network.time_layers[0][1].compute_dtype == "bfloat16"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {value.dtype for value in sums[0].values()} == {tf.float32}
    half = [float(s["loss"]) for s in sums]
    full = [float(s["loss"]) for s in losses_in("float32")[0]]
    assert half[-1] < 0.9 * half[0]
    # bfloat16 has 8 bits: the losses agree to a hundredth, but are not equal.
    assert half == pytest.approx(full, rel=0.02) and half != full


def test_styles_are_carried_over_by_name_and_new_ones_start_from_the_mean():
    rows = np.array([[1.0, 2.0], [3.0, 6.0]])
    found = finetuning.style_rows(rows, ("bach", "mozart"), ("mozart", "new", "bach"))
    np.testing.assert_array_equal(found, [[3.0, 6.0], [2.0, 4.0], [1.0, 2.0]])


def grown(name="poph", **changes):
    styles = {
        "styles": ("mozart", "palestrina", "bach"),
        "style_shares": (0.2, 0.4, 0.4),
    }
    return small.model_config(name, **styles | changes)


def test_a_model_with_more_styles_computes_old_styles_as_its_source_does():
    source = small.model("poph")
    keras.utils.set_random_seed(5)
    model = models.build(grown(dropout=0.1))
    finetuning.start_from(model, source)
    frames = small.frames_of([small.random_piece(k, 6) for k in range(2)])
    # bach is the first of two styles there, the last of three here.
    before = source(small.inputs_of(frames, style=(1.0, 0.0)))
    after = model(small.inputs_of(frames, style=(0.0, 0.0, 1.0)))
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-6)


def test_a_model_of_other_tracks_begins_anew_what_does_not_fit_and_says_so():
    source = small.model("voices")
    two = source.config.tracks[:2]
    model = models.build(dataclasses.replace(source.config, tracks=two))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    anew = finetuning.start_from(model, source)
    copied = {v.path: v.numpy() for v in source.trainable_variables}
    for variable in model.trainable_variables:
        expected = before if variable.path in anew else copied
        np.testing.assert_array_equal(variable, expected[variable.path])
    assert "track_entry/kernel" in anew and "voice/kernel" not in anew
    # With the same styles and tracks, nothing starts from scratch.
    assert not finetuning.start_from(models.build(source.config), source)


def test_a_run_from_another_model_has_its_sizes_and_the_styles_of_both(tmp_path):
    source = small.model("poph")  # knows bach and palestrina
    models.save(source, str(tmp_path))
    assert models.read_config(tmp_path) == source.config
    pieces = [small.random_piece(k, 8) for k in range(4)]
    data_dir = small.write_data_set(
        tmp_path / "data", {"train": [*pieces, pieces[0]]}, ("mozart", "bach")
    )
    info = examples.read_info(data_dir)
    new = str(tmp_path / "new")
    found = finetuning.config_of(str(tmp_path), new, info, {"dropout": 0.25})
    styles = {
        "styles": ("bach", "palestrina", "mozart"),
        "style_shares": (0.4, 0.0, 0.6),  # two of five pieces of 8 steps, none, three
    }
    expected = dataclasses.replace(source.config, dropout=0.25, **styles)
    assert found == expected
    # Once the run has begun, its own config counts: the other model may be gone.
    (tmp_path / "new").mkdir()
    settings = json.dumps({"model": expected.to_dict()})
    (tmp_path / "new" / models.SETTINGS_FILE).write_text(settings)
    assert finetuning.config_of("gone", new, info, {}) == expected


def test_a_file_that_is_not_a_model_has_no_config(tmp_path):
    (tmp_path / models.WEIGHTS_FILE).write_bytes(b"PK no zip")
    with pytest.raises(InputError, match="is not a model of poph_tf"):
        models.read_config(tmp_path)


def test_weights_of_other_sizes_are_refused_with_both_sizes():
    model = models.build(grown(num_time_units=7))
    with pytest.raises(InputError, match="=6, not the requested num_time_units=7"):
        finetuning.start_from(model, small.model("poph"))


def test_training_starts_from_another_model_and_continues_from_its_own(tmp_path):
    pieces = [small.random_piece(k, 16) for k in range(4)]
    data_dir = small.write_data_set(
        tmp_path / "data",
        {"train": pieces, "valid": pieces[:1]},
        styles=("bach", "mozart", "palestrina"),
    )
    source = tmp_path / "source"
    source.mkdir()
    models.save(small.model("poph"), str(source))
    settings = {"window_steps": 8, "batch_size": 4, "max_steps": 1, "optimizer": "sgd"}

    def trainer(**changes):
        styles = {
            "styles": ("bach", "mozart", "palestrina"),
            "style_shares": (0.4, 0.3, 0.3),
        }
        return trainer_lib.Trainer(
            # Dropout has no weights, so it may differ.
            small.model_config("poph", recurrent_dropout=0.1, dropout=0.3, **styles),
            config.TrainingConfig(**settings | {"init_from": str(source)} | changes),
            data_dir,
            str(tmp_path / "tuned"),
            tf.distribute.get_strategy(),
        )

    made = trainer(learning_rate=0.0, ema_decay=0.5)
    made.run(report=lambda line: None)
    for variable, average in zip(
        made.model.trainable_variables, made.state.averages, strict=True
    ):
        np.testing.assert_allclose(average.numpy(), variable.numpy(), atol=1e-7)
    (heads,) = [v for v in made.model.trainable_variables if v.path == "heads/kernel"]
    there = small.model("poph").network.heads.kernel
    np.testing.assert_array_equal(heads.numpy(), there.numpy())
    # Started again, it neither needs nor reads the other model.
    (source / models.WEIGHTS_FILE).unlink()
    trainer(ema_decay=0.5)


@pytest.mark.parametrize("name", ["poph", "attention_everywhere_descending", "poph2"])
def test_one_graph_for_all_lengths_takes_the_same_steps_as_one_per_length(name):
    found = []
    for any_length in (False, True):
        keras.utils.set_random_seed(1)
        model = models.build(small.without_dropout(small.model_config(name)))
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
        strategy = tf.distribute.get_strategy()
        step = train_step.TrainStep(model, optimizer, strategy, any_length=any_length)
        losses = []
        for num_steps in (5, 7, 5):
            frames = small.frames_of([small.random_piece(k, num_steps) for k in (0, 1)])
            inputs = small.inputs_of(frames, style=(0.5,) * len(model.config.styles))
            batch = {k: tf.constant(v) for k, v in inputs.items()}
            losses.append(float(step.run(batch)["loss"]))
        assert len(step.compiled) == (1 if any_length else 2)
        found.append((losses, model.get_weights()))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    for one, other in zip(*(weights for _, weights in found), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
