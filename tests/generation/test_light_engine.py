"""Drawing without TensorFlow gives the pieces that the graph gives."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import small
import tensorflow as tf
from test_golden import TASKS, assert_equal

import poph_tf
from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import host_randomness, light_engine, randomness
from poph_tf.generation.composer import Composer
from poph_tf.generation.engine import Engine
from poph_tf.generation.light_engine import LightEngine
from poph_tf.models import pretrained
from poph_tf.serving import litert

WITHOUT_PARTICLES = [name for name, task in TASKS.items() if "particles" not in task]


def test_random_numbers_are_those_of_the_graph_bit_for_bit():
    seed, steps = np.array([-7, 2**31 - 1], np.int32), np.array([0, 5, 70_000])
    numbers = host_randomness.uniforms(seed, steps, num_tracks=3, num_pitches=9)
    for track in range(3):
        expected = randomness.uniforms(
            tf.constant([seed] * 3), tf.constant(steps, tf.int32), 9, track
        )
        np.testing.assert_array_equal(numbers[:, track], expected)


def test_keys_are_those_of_the_graph():
    seeds = (
        np.random.default_rng(0).integers(-(2**31), 2**31, (200, 2)).astype(np.int32)
    )
    expected = randomness.keys(tf.constant(seeds))
    np.testing.assert_array_equal(host_randomness.keys(seeds), expected)


@pytest.fixture(scope="module")
def scores():
    return LightEngine(pretrained.path_of("scores"))


@pytest.mark.parametrize("task", WITHOUT_PARTICLES)
def test_every_task_gives_the_pieces_of_the_graph(scores, task):
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 11} | TASKS[task]
    pieces = scores.compose(GenerationConfig(**settings))
    assert_equal(f"scores/{task}", pieces)


def test_another_preset_gives_the_pieces_of_the_graph():
    engine = LightEngine(pretrained.path_of("pop909"))
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 11} | TASKS["density"]
    assert_equal("pop909/density", engine.compose(GenerationConfig(**settings)))


@pytest.fixture(scope="module")
def choir(tmp_path_factory):
    """A model with tracks that looks ahead, as a graph and converted."""
    folder = tmp_path_factory.mktemp("choir")
    model = small.model("voices")
    # A memory that is soon full, as in a long piece.
    (folder / models.LIGHT_FILE).write_bytes(litert.convert(model, short_memory=2))
    settings = {"model": model.config.to_dict()}
    (folder / models.SETTINGS_FILE).write_text(json.dumps(settings))
    return model, LightEngine(folder)


def test_a_model_with_tracks_looks_ahead_as_the_graph_does(choir):
    model, engine = choir
    low = model.config.min_pitch
    tracks = model.config.tracks
    stack = np.zeros((32, len(tracks), 128, 3), np.uint8)
    stack[:, 0, low + 4] = (1, 0, 80)
    stack[16:, 0, low + 4] = 0
    stack[20:, 0, low + 6] = (1, 0, 80)
    bars = (np.arange(32) % 16).astype(np.uint8)
    music = matrices.from_stack(stack, tracks, bars)
    graph = Engine(model, jit_compile=False)
    for settings in (
        {"num_bars": 2, "temperature": 0.8},
        {"task": "harmonize", "music": music, "given": (tracks[0].name,)},
        {"task": "continue", "music": music, "num_bars": 1},
        {"task": "infill", "music": music, "bars": "2"},
    ):
        config = GenerationConfig(num_pieces=2, seed=5, **settings)
        drawn = engine.compose(config)
        expected = graph.compose(config)
        for piece, same in zip(drawn, expected, strict=True):
            assert piece == same, settings
            np.testing.assert_array_equal(piece.stack(tracks), same.stack(tracks))


def test_weights_of_fewer_bits_change_a_step_by_little(choir, tmp_path, monkeypatch):
    model, exact = choir
    (tmp_path / models.SETTINGS_FILE).write_text(
        json.dumps({"model": model.config.to_dict()})
    )
    config = GenerationConfig(num_bars=1, seed=3)

    def after_a_step(engine):
        row = engine.row(config.resolve(engine.config), 0, None, (0, 1))
        return engine.draw([next(row)])[0][1]

    expected = after_a_step(exact)
    # One graph each; a short memory holds the last steps of a long one.
    monkeypatch.setattr(litert, "BATCHES", (1,))
    steps = model.config.time_attention_steps
    for weights, most in (("float16", 2e-3), ("int8", 5e-2)):
        content = litert.convert(model, short_memory=steps, weights=weights)
        (tmp_path / models.LIGHT_FILE).write_bytes(content)
        found = after_a_step(LightEngine(tmp_path))
        change = max(
            float(np.abs(found[name].ravel()[-value.size :] - value.ravel()).max())
            for name, value in expected.items()
        )
        assert 0 < change < most, weights


def test_weights_of_other_bits_are_refused(choir):
    with pytest.raises(InputError, match="weights must be one of float32, float16"):
        litert.convert(choir[0], weights="int4")


def test_rows_drawn_at_a_time_are_those_drawn_alone(choir):
    _, engine = choir
    config = GenerationConfig(num_pieces=9, num_bars=1, seed=3)
    request = config.resolve(engine.config)
    rows = [engine.row(request, row, None, (0, 5, 16)) for row in range(9)]
    slices = [next(row) for row in rows]
    # All rows use the longest memory of any row.
    slices[0] = dataclasses.replace(slices[0], state=engine.draw(slices[:1])[0][1])
    alone = [engine.draw([one])[0] for one in slices]
    groups = light_engine.grouped(slices, num_workers=2)
    assert [len(group) for group in groups] == [4, 4, 1]
    together = [found for group in groups for found in engine.draw(group)]
    for (cells, state), (same, also) in zip(together, alone, strict=True):
        np.testing.assert_array_equal(cells, same)
        for name in state:
            value, other = state[name], also[name]
            if value.ndim > 1 and value.shape != other.shape:
                value = value[:, -other.shape[1] :]
            np.testing.assert_allclose(value, other, atol=1e-5)


def test_few_rows_are_drawn_alone_so_that_all_cores_have_some(choir):
    _, engine = choir
    request = GenerationConfig(num_pieces=7, num_bars=1).resolve(engine.config)
    slices = [next(engine.row(request, row, None, (0, 16))) for row in range(7)]
    assert [len(group) for group in light_engine.grouped(slices, 2)] == [1] * 7
    assert [len(group) for group in light_engine.grouped(slices, 1)] == [4, 1, 1, 1]


def test_a_stream_is_the_piece_in_parts(scores):
    config = GenerationConfig(num_pieces=1, num_bars=3, seed=2)
    parts = list(scores.stream(config.resolve(scores.config)))
    assert [part.shape[1] for part in parts] == [16, 16, 16]
    (piece,) = scores.compose(config)
    low, size = scores.config.min_pitch, scores.config.num_pitches
    streamed = np.concatenate(parts, axis=1)[0, ..., 0]
    np.testing.assert_array_equal(streamed, piece.play[:, low : low + size])


def test_particles_are_drawn_by_the_graph_and_the_rest_without():
    composer = Composer(pretrained.path_of("scores"))
    plain = composer.resolve("compose", {"num_bars": 1})
    assert isinstance(composer.engine(plain), LightEngine)
    with_particles = {"fix": small.random_piece(5, 16, low=60, high=64), "particles": 2}
    request = composer.resolve("compose", with_particles)
    assert isinstance(composer.engine(request), Engine)


def test_a_control_that_a_converted_model_does_not_read_is_left_to_the_graph():
    composer = Composer(pretrained.path_of("scores"))
    request = composer.resolve("compose", {"num_bars": 1, "density": 3.0})
    engine = composer.engine(request)
    assert isinstance(engine, LightEngine)
    # As if the model had been converted before this control existed.
    del engine._light.controls["density"]
    assert isinstance(composer.engine(request), Engine)


def test_a_piece_is_composed_and_saved_without_tensorflow_and_note_seq(tmp_path):
    code = (
        "import sys, poph_tf\n"
        "piece = poph_tf.load('scores').compose(num_bars=1)\n"
        f"piece.save({str(tmp_path / 'a.mid')!r})\n"
        "heavy = {'tensorflow', 'keras', 'note_seq', 'numba', 'scipy', 'matplotlib'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(matrices.from_file(tmp_path / "a.mid")) == 16


def test_the_command_ends_with_the_keys_that_were_drawn(tmp_path):
    command = [sys.executable, "-m", "poph_tf.generate", "--pretrained=chorales"]
    command += [
        "--num_bars=1",
        "--num_pieces=2",
        "--seed=3",
        f"--output_dir={tmp_path}",
    ]
    command += ["--png=false", "--wav=false", "--page=false"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.splitlines() == [f"{tmp_path}/piece-{k}.mid" for k in (1, 2)]
    pieces = poph_tf.load("chorales").compose(num_bars=1, num_pieces=2, seed=3)
    keys = [piece.key for piece in pieces]
    assert run.stderr.splitlines()[-1] == f"keys: {', '.join(keys)}"
    assert all(keys)


def test_what_is_no_converted_model_is_one_error(tmp_path):
    with pytest.raises(InputError, match="holds no converted model"):
        LightEngine(tmp_path)
