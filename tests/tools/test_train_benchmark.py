"""The counts of the training benchmark, by hand and for the models' weights."""

import importlib.util
import math

import pytest
import small

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


@pytest.mark.parametrize("name", small.VARIANTS)
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


# From a count by hand that went through the settings of each network, stage by stage.
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


def test_an_lstm_is_timed(benchmark):
    shapes = list(benchmark.lstm_shapes(small.model("without_replay_one_layer"), 1, 2))
    assert len(shapes) == 2
    for shape in shapes:
        assert benchmark.lstm_seconds(shape, repetitions=1) > 0
