"""What the benchmark of training counts, held against the weights of the models."""

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
    shapes = benchmark.lstm_shapes(model.config, 2, 5)
    found = kernels(model, "lstm_cell/kernel")
    assert [(width, 4 * units) for _, _, width, units in shapes] == found
    # Every cell of the roll is walked over once by each.
    for rows, places, _, _ in shapes:
        assert rows * places == 2 * 5 * small.NUM_PITCHES


@pytest.mark.parametrize("name", ["biaxial", "deepj"])
def test_a_product_is_counted_twice_for_each_weight_and_pitch(name, benchmark):
    model = small.model(name)
    shapes = kernels(model, "lstm_cell", "heads", "octave")
    sizes = sum(math.prod(shape) for shape in shapes)
    assert benchmark.products(model.config, 5) == 2 * sizes * small.NUM_PITCHES


def test_an_lstm_is_timed(benchmark):
    config = small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1)
    figures = benchmark.lstms_alone(config, 1, 2, repetitions=1)
    (_, _, width, units), (_, _, below, notes) = benchmark.lstm_shapes(config, 1, 2)
    products = units * (width + units) + notes * (below + notes)
    assert figures["flops"] == 3 * 8 * 2 * small.NUM_PITCHES * products
    assert figures["seconds"] > 0
