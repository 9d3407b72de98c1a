"""The signatures of a model with tracks, against the engine and the trained model."""

import functools
import io

import exported
import mido
import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import named_chords
from poph_tf.config import GenerationConfig, Limits
from poph_tf.data import matrices
from poph_tf.generation.engine import Engine
from poph_tf.models import losses
from poph_tf.serving import inputs as inputs_lib
from poph_tf.serving import midi_graph
from poph_tf.serving.signatures import ServingModule

TRACKS = small.VOICES
NUM_STEPS = 20


@pytest.fixture(scope="module")
def module():
    return ServingModule(small.model("voices"), Limits(max_steps=64))


@pytest.fixture(scope="module")
def graph(module):
    """The graphs of signatures, as they are exported, each traced once."""
    inputs = inputs_lib.specs(module.config)

    @functools.cache
    def traced(name):
        function = tf.function(getattr(module, name), autograph=False)
        return function.get_concrete_function(**inputs[name])

    return traced


@pytest.fixture(scope="module")
def engine():
    return Engine(small.model("voices"), jit_compile=False)


def asked(num_pieces=2, num_steps=NUM_STEPS):
    rows = np.arange(num_pieces)
    return {
        "seed": tf.constant(np.stack([np.zeros_like(rows), rows], 1), tf.int32),
        "num_steps": tf.fill([num_pieces], num_steps),
        "temperature": tf.ones([num_pieces]),
        "style": tf.constant([[1.0, 0.0]] * num_pieces),
    }


def matrices_of(outputs):
    return {name: outputs[name] for name in inputs_lib.MATRICES}


@pytest.fixture(scope="module")
def composed(graph):
    return graph("compose")(**asked(num_steps=32))


def test_compose_is_the_piece_of_the_engine_with_its_ending(engine, composed):
    settings = {"num_bars": 2, "num_pieces": 2, "style": "bach"}
    pieces = engine.compose(GenerationConfig(**settings))
    low = engine.config.min_pitch
    for k, piece in enumerate(pieces):
        stack = piece.stack(TRACKS)[:, :, low : low + small.NUM_PITCHES]
        for channel, name in enumerate(inputs_lib.MATRICES):
            np.testing.assert_array_equal(composed[name][k], stack[..., channel])


def bars_left(num_steps):
    steps = np.arange(num_steps)
    return ((num_steps - 1) // 16 - steps // 16).astype(np.int32)


def test_continue_draws_the_same_steps_in_parts_and_keeps_what_is_given(
    graph, composed
):
    left, state = bars_left(32), tf.constant([b"", b""])
    for first, stop in ((0, 12), (12, 32)):
        given = np.zeros((2, stop - first, 3), np.float32)
        nothing = {k: v[:, first:stop] * 0 for k, v in matrices_of(composed).items()}
        part = graph("continue_")(
            **(asked(num_steps=stop - first) | nothing),
            given=tf.constant(given),
            bars_left=tf.constant(np.tile(left[first:stop], (2, 1))),
            state_bytes=state,
        )
        state = part["state_bytes"]
        np.testing.assert_array_equal(part["play"], composed["play"][:, first:stop])
    given = np.zeros((2, 8, 3), np.float32)
    given[0, 4:, 1] = 1
    notes_given = {k: v[:, 16:24] for k, v in matrices_of(composed).items()}
    drawn = graph("continue_")(
        **(asked(num_steps=10) | notes_given),
        given=tf.constant(given),
        bars_left=tf.fill([2, 8], -1),
        state_bytes=tf.constant([b"", b""]),
    )
    np.testing.assert_array_equal(
        drawn["play"][0, 4:8, 1], composed["play"][0, 20:24, 1]
    )
    assert drawn["play"].shape == (2, 10, 3, small.NUM_PITCHES)


def drawn_elsewhere(module, graph, inputs, folder):
    """What another process draws with the exported signature `draw_free`."""
    path, signatures = folder / "export", {"serving_default": graph("draw_free")}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return exported.call_elsewhere(path, inputs, folder)


def test_another_process_harmonizes_and_fills_in_as_the_engine(
    module, graph, engine, composed, tmp_path
):
    stack = np.zeros((32, 3, 128, 3), np.uint8)
    low = module.config.min_pitch
    cells = np.stack([composed[name][0] for name in inputs_lib.MATRICES], axis=-1)
    stack[:, :, low : low + small.NUM_PITCHES] = cells
    position = (np.arange(32) % 16).astype(np.uint8)
    music = matrices.from_stack(stack, TRACKS, position)
    settings = {"music": music, "num_pieces": 1, "seed": 5, "style": "bach"}
    # Both find the key in the given notes.
    settings |= {"chords": "D", "temperature": 1.2, "top_p": 0.9}
    tasks = (
        {"task": "harmonize", "given": (TRACKS[0].name,)},
        {"task": "infill", "bars": "2", "given": (TRACKS[2].name,)},
    )
    given = np.zeros((2, 32, 3), np.float32)
    given[0, :, 0] = given[1, :, 2] = given[1, :16] = 1
    outside = named_chords.read_chords("D")[0][(low + np.arange(14)) % 12]
    rows = {"temperature": 1.2, "replay_temperature": 0.0, "top_p": 0.9}
    inputs = {name: np.full(2, value, np.float32) for name, value in rows.items()}
    inputs |= {
        "seed": np.array([[5, 0], [5, 0]], np.int32),
        "style": np.array([[1, 0], [1, 0]], np.float32),
        "bar_position": np.tile(position, (2, 1)).astype(np.int32),
        "bars_left": np.tile(bars_left(32), (2, 1)),
        "given": given,
        "pitch_bias": np.tile(np.float32(-2 * outside), (2, 32, 1)),
    }
    for name in inputs_lib.MATRICES:
        inputs[name] = np.tile(composed[name][:1], (2, 1, 1, 1))
    found = drawn_elsewhere(module, graph, inputs, tmp_path)
    for row, task in enumerate(tasks):
        (piece,) = engine.compose(GenerationConfig(**settings, **task))
        expected = piece.stack(TRACKS)[:, :, low : low + small.NUM_PITCHES]
        assert (expected != cells).any()
        np.testing.assert_array_equal(found["play"][row], expected[..., 0])
        np.testing.assert_array_equal(found["replay"][row], expected[..., 1])


def scored(composed, given, left):
    """Nats of play and replay of the free tracks, by the teacher-forced model."""
    frames = np.stack([composed[name] for name in inputs_lib.MATRICES], -1)
    frames = (frames / np.array([1, 1, 127])).astype(np.float32)
    known = small.inputs_of(frames, style=(1.0, 0.0))
    known |= {"given": given, "bars_left": left}
    outputs = small.model("voices")(known)
    play = losses.play_nats_of_tracks(frames[..., 0], outputs["play"], TRACKS)
    possible = losses.replay_possible(frames[..., 0], known["previous"][..., 0])
    replay = losses.replay_nats(possible, frames[..., 1], outputs["replay"])
    return [losses.free_sum(nats, given) for nats in (play, replay)]


def test_scores_are_those_of_the_trained_model_in_windows_too(
    module, composed, monkeypatch
):
    rng = np.random.default_rng(1)
    given = (rng.random((2, 32, 3)) < 0.4).astype(np.float32)
    left = np.tile(bars_left(32), (2, 1))
    monkeypatch.setattr("poph_tf.serving.signatures.WINDOW_STEPS", 14)
    inputs = matrices_of(composed) | {
        "bar_position": tf.constant(np.tile(np.arange(32) % 16, (2, 1)), tf.int32),
        "style": asked()["style"],
    }
    found = module.score_given(
        **inputs, given=tf.constant(given), bars_left=tf.constant(left)
    )
    for name, nats in zip(
        ("play_nats", "replay_nats"), scored(composed, given, left), strict=True
    ):
        np.testing.assert_allclose(found[name], nats, atol=1e-4)
    plain = module.score(**inputs)
    expected = scored(composed, np.zeros_like(given), np.full_like(left, -1))
    np.testing.assert_allclose(plain["play_nats"], expected[0], atol=1e-4)


def test_a_midi_file_has_a_channel_and_a_program_for_each_track(composed):
    tracks = [type(t)(t.name, program=10 * k) for k, t in enumerate(TRACKS, 1)]
    cells = tf.stack([composed[name] for name in inputs_lib.MATRICES], axis=-1)
    files = midi_graph.write(cells, composed["length"], tf.fill([2], 90.0), 36, tracks)
    file = mido.MidiFile(file=io.BytesIO(files.numpy()[0]))
    assert [own.name for own in file.tracks] == ["", *(own.name for own in tracks)]
    messages = list(file)
    programs = {m.channel: m.program for m in messages if m.type == "program_change"}
    assert programs == {0: 10, 1: 20, 2: 30}
    play = composed["play"].numpy()[0]
    for k in range(3):
        pitches = {36 + int(p) for p in np.flatnonzero(play[:, k].any(axis=0))}
        on = [m for m in messages if m.type == "note_on" and m.channel == k]
        assert pitches == {m.note for m in on}


def test_the_graph_of_continue_keeps_the_shapes_of_its_state(graph):
    play = graph("continue_").structured_outputs["play"]
    assert play.shape.as_list()[2:] == [3, 14]


def test_signatures_depend_on_whether_the_model_has_tracks():
    plain, tracks = (
        inputs_lib.specs(small.model_config(name)) for name in ("poph2", "voices")
    )
    assert "score_given" in tracks and "score_given" not in plain
    assert tracks["score"]["play"].shape.as_list() == [None, None, 3, 14]
    assert plain["score"]["play"].shape.as_list() == [None, None, 14]
    assert set(tracks["continue_"]) - set(plain["continue_"]) == {
        *("play", "replay", "volume", "given", "bars_left"),
    }
    assert set(tracks["compose"]) == set(plain["compose"])
