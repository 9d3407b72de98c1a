"""The shipped `chorales`: its converted step agrees with its weights.

The converted step and the weights are two files, which could come from different
runs. Here the network reads all steps at once, without the sampler; other
converted models are compared with the graph in `test_light_engine.py`.
"""

import numpy as np
import pytest
import small

from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.generation import tracks
from poph_tf.generation.engine import Engine
from poph_tf.generation.light_engine import LightEngine
from poph_tf.generation.light_step import STATE
from poph_tf.models import pretrained
from poph_tf.models.layers import chord_progression
from poph_tf.serving import litert

NUM_BARS = 13  # more steps than the shorter memory of a step holds


@pytest.fixture(scope="module")
def light():
    return LightEngine(pretrained.path_of("chorales"))


@pytest.fixture(scope="module")
def model():
    return models.load("chorales")


@pytest.fixture(scope="module")
def drawn(light):
    """A request, its frames as the network's input, and the state after each step."""
    settings = {"num_bars": NUM_BARS, "key": "G major", "key_strength": 1.0}
    config = GenerationConfig(num_pieces=1, seed=3, **settings)
    request = config.resolve(light.config)
    row = light.row(request, 0, None, range(request.num_steps + 1))
    parts, part = [], next(row)
    for _ in range(request.num_steps):
        parts.append(light.draw([part])[0])
        part = row.send(parts[-1]) if len(parts) < request.num_steps else None
    cells = np.concatenate([cells for cells, _ in parts])
    frames = cells[None] / np.array([1, 1, 127], np.float32)
    return request, frames, [state for _, state in parts]


@pytest.fixture(scope="module")
def inputs(drawn):
    """The network's inputs for the drawn piece, chords included."""
    request, frames, states = drawn
    chords = np.stack([state[f"{STATE}_chords"][0, -1] for state in states])
    key = np.full(len(chords), request.controls.key[0], np.int32)
    degree = chord_progression.before_of(chords) - 1
    return small.inputs_of(frames) | {
        "key": key[None],
        "chord": np.asarray(chord_progression.chord_of(degree, key))[None],
        "bars_left": request.task.bars_left[None, : len(chords)],
    }


def test_the_state_of_the_converted_step_is_that_of_the_weights(drawn, inputs, model):
    _, state = model.network.time_axis(inputs, model.network.zero_state(1))
    flat = litert._flat({"network": state})
    found = drawn[2][-1]
    assert set(flat) == {name for name in found if name.startswith(f"{STATE}_network")}
    for name, expected in flat.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-4, err_msg=name)


def test_the_likelihood_of_each_converted_step_is_that_of_the_weights(
    drawn, inputs, model
):
    heads = {name: value[0] for name, value in model(inputs).items()}
    expected = sum(
        tracks.voice_log_probability(
            {name: value[:, voice] for name, value in heads.items()},
            inputs["previous"][0, :, voice],
            inputs["current"][0, :, voice],
        ).numpy()
        for voice in range(len(model.config.tracks))
    )
    sums = [state[f"{STATE}_log_likelihood"][0] for state in drawn[2]]
    found = np.diff(np.float64(sums), prepend=0.0)
    assert found.min() < -1.0  # not every step is certain
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_three_seeds_are_the_pieces_of_the_graph(light, model):
    config = GenerationConfig(num_pieces=3, num_bars=2, seed=8)
    graph = Engine(model, jit_compile=False)
    pieces = light.compose(config), graph.compose(config)
    for piece, expected in zip(*pieces, strict=True):
        assert piece == expected
        stacks = [each.stack(light.config.tracks) for each in (piece, expected)]
        np.testing.assert_array_equal(*stacks)
