"""The counts of the training benchmark, by hand and for the models' weights."""

import importlib.util
import math

import pytest
import small

from poph_tf import models
from poph_tf.models import presets

TOOL = small.ROOT / "tools" / "benchmarks" / "train.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("train_benchmark", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernels(model, *names):
    """Shapes of the weights of layers whose path has one of these names."""
    return [
        tuple(weight.shape)
        for weight in model.trainable_variables
        if len(weight.shape) > 1 and any(name in weight.path for name in names)
    ]


@pytest.mark.parametrize("name", [*small.VARIANTS, "voices"])
def test_the_lstms_that_are_timed_alone_are_those_of_the_model(name, benchmark):
    model = small.model(name)
    shapes = list(benchmark.lstm_shapes(model, 2, 5))
    found = kernels(model, "lstm_cell/kernel")
    assert [(width, 4 * units) for _, _, width, units in shapes] == found
    # Each walks once over every cell of the roll.
    for rows, places, _, _ in shapes:
        assert rows * places == 2 * 5 * small.NUM_PITCHES


@pytest.mark.parametrize("name", ["biaxial", "deepj"])
def test_a_product_is_counted_twice_for_each_weight_and_pitch(name, benchmark):
    model = small.model(name)
    shapes = kernels(model, "lstm_cell", "heads", "octave")
    sizes = sum(math.prod(shape) for shape in shapes)
    assert benchmark.products(model, 5) == 2 * sizes * small.NUM_PITCHES


# Counted by hand from the settings of each network, stage by stage.
@pytest.mark.parametrize(
    ("name", "products"),
    [
        ("tp_lstm_nade", 38052),
        ("poph", 85232),
        ("poph2", 113220),
        ("attention_per_pitch", 92848),
        ("attention_by_frames", 88832),
        ("attention_in_place_of_pitch_and_per_pitch", 55580),
        ("poph2_play_only", 69932),
    ],
)
def test_the_products_of_attention_and_nade_are_counted(name, products, benchmark):
    assert benchmark.products(small.model(name), 5) == products


def test_the_products_of_voices_are_counted(benchmark):
    made = {"tracks": small.VOICES, "pitch_attention": "before_time"}
    model = models.build(small.model_config("poph3", **made))
    # The look-ahead, attention along pitch, two LSTMs, the entry of all voices; then
    # for each voice its context, its layer and its heads.
    weights = 100 * 16 + (112 * 24 + 8 * 112) + (118 + 12) * 24 + 100 * 15
    weights += 3 * (46 * 5 + 5 * 5 + 5 * 3)
    pitches, steps = small.NUM_PITCHES, 5
    attention = 4 * pitches * 8 * pitches
    frames = 2 * 12 * 16 + 2 * pitches * 12 + 2 * steps * 8
    frames += 4 * steps * 2 * pitches * 3
    # Rows of 3 x 13 intervals and motions, of 5 units, for two other voices.
    leading = 3 * 2 * 2 * (3 * 13 * 5) * (13 + pitches)
    counted = 2 * pitches * weights + attention + frames + leading
    assert benchmark.products(model, steps) == counted


def test_a_step_of_voices_that_sing_one_note_at_a_time_is_timed(benchmark):
    model = models.build(small.model_config("voices"))
    batch = benchmark.random_batch(model.config, 2, 5)
    assert set(batch["current"][..., 0].numpy().sum(axis=-1).flat) == {0, 1}
    seconds, peak = benchmark.step_seconds(model, batch, repetitions=1, slices=2)
    assert 0 < seconds < 60 and peak > 1e6


def test_each_preset_is_measured_with_the_tracks_it_is_made_for(benchmark):
    assert set(benchmark.PRESETS) == set(presets.PRESETS)
    found = {name: len(benchmark.settings(name).tracks) for name in benchmark.PRESETS}
    assert found == dict.fromkeys(presets.PRESETS, 0) | {"poph3": 4}


def test_an_lstm_is_timed(benchmark):
    shapes = list(benchmark.lstm_shapes(small.model("without_replay_one_layer"), 1, 2))
    assert len(shapes) == 2
    for shape in shapes:
        assert benchmark.lstm_seconds(shape, repetitions=1) > 0
