"""The SavedModel: the same pieces wherever it runs."""

import exported
import numpy as np
import pytest
import small
import tensorflow as tf
from exported import call, compose_inputs, roll_inputs, roll_of, states

from poph_tf import serving
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices, midi
from poph_tf.generation import engine
from poph_tf.models import losses
from poph_tf.serving import midi_graph


def composed_by_generation(num_pieces, num_bars, seed):
    """uint8 [piece, time, pitch, 3] from the path of `poph_tf.generate`."""
    composer = engine.Engine(exported.model(), jit_compile=False)
    wanted = GenerationConfig(
        num_pieces=num_pieces,
        num_bars=num_bars,
        seed=seed,
        style="bach:0.75,palestrina:0.25",
    )
    low = exported.model().config.min_pitch
    pieces = composer.compose(wanted)
    return np.stack([p.cells[:, low : low + exported.NUM_PITCHES] for p in pieces])


def test_export_composes_where_poph_tf_cannot_be_imported(tmp_path):
    inputs = compose_inputs(2, 32)
    found = exported.call_elsewhere(exported.version_dir(), inputs, tmp_path)
    cells = roll_of(found)
    assert cells[..., 0].any(axis=(1, 2)).all()
    np.testing.assert_array_equal(found["length"], [32, 32])
    np.testing.assert_array_equal(cells, composed_by_generation(2, 2, seed=7))


def test_pieces_are_canonical_and_end_in_zeros():
    cells = roll_of(
        call("compose", compose_inputs(2, num_steps=np.array([24, 9], np.int32)))
    )
    assert cells.shape == (2, 24, exported.NUM_PITCHES, 3)
    assert cells[1, :9].any()
    assert not cells[1, 9:].any()
    for piece in cells:
        whole = np.zeros((24, 128, 3), np.uint8)
        whole[:, : exported.NUM_PITCHES] = piece
        matrices.validate(matrices.Matrices(whole, np.arange(24, dtype=np.uint8)))


def test_piece_does_not_depend_on_its_batch():
    together = call(
        "compose", compose_inputs(4, num_steps=np.array([24, 9, 40, 1], np.int32))
    )
    for piece, num_steps in enumerate((24, 9, 40, 1)):
        own = {
            name: value[piece : piece + 1] for name, value in compose_inputs(4).items()
        }
        own["num_steps"] = np.array([num_steps], np.int32)
        alone = roll_of(call("compose", own))
        np.testing.assert_array_equal(alone[0], roll_of(together)[piece, :num_steps])


def test_serving_default_is_compose():
    ours, default = (call(n, compose_inputs(1)) for n in ("compose", "serving_default"))
    np.testing.assert_array_equal(roll_of(ours), roll_of(default))


def test_score_is_the_models_likelihood():
    outputs = call("compose", compose_inputs(2, 40))
    inputs = roll_inputs(outputs)
    found = call("score", inputs)
    frames = roll_of(outputs) / np.array([1.0, 1.0, 127.0], np.float32)
    before = np.concatenate([np.zeros_like(frames[:, :1]), frames[:, :-1]], axis=1)
    names = ("bar_position", "style")
    given = {"previous": before, "current": frames} | {n: inputs[n] for n in names}
    heads = exported.model()({k: tf.constant(v) for k, v in given.items()})
    play = losses.play_nats(frames[..., 0], heads["play"])
    possible = frames[..., 0] * before[..., 0]
    replay = losses.replay_nats(possible, frames[..., 1], heads["replay"])
    np.testing.assert_allclose(found["play_nats"], play, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["replay_nats"], replay, rtol=1e-4, atol=1e-4)


def test_score_reads_long_pieces_in_windows(monkeypatch):
    monkeypatch.setattr("poph_tf.serving.signatures.WINDOW_STEPS", 6)
    module = serving.ServingModule(exported.model(), serving.Limits(64, 4))
    inputs = roll_inputs(call("compose", compose_inputs(2, 40)))
    windowed = module.score(**{k: tf.constant(v) for k, v in inputs.items()})
    whole = call("score", inputs)
    for name, value in whole.items():
        np.testing.assert_allclose(windowed[name], value, rtol=1e-4, atol=1e-4)


def test_bar_by_bar_is_the_piece_in_one_go():
    whole = roll_of(call("compose", compose_inputs(2, 48)))
    state, bars = states(), [[], []]
    for num_steps in ([16, 16], [16, 5], [16, 27]):
        inputs = compose_inputs(2, num_steps=np.array(num_steps, np.int32))
        outputs = call("continue_", inputs | {"state_bytes": state})
        state = outputs["state_bytes"]
        for piece in range(2):
            length = outputs["length"][piece]
            assert not roll_of(outputs)[piece, length:].any()
            bars[piece].append(roll_of(outputs)[piece, :length])
    for piece in range(2):
        np.testing.assert_array_equal(np.concatenate(bars[piece]), whole[piece])


@pytest.mark.parametrize("variant", ["attention_per_pitch", "tp_lstm_nade"])
def test_state_of_every_kind_of_network_travels_as_bytes(variant):
    module = serving.ServingModule(small.model(variant), serving.Limits(64, 4))
    inputs = compose_inputs(2) | {"style": np.ones((2, 1), np.float32)}

    def run(name, **others):
        given = {k: tf.constant(v) for k, v in (inputs | others).items()}
        return {k: v.numpy() for k, v in getattr(module, name)(**given).items()}

    def steps(first, second):
        return {"num_steps": np.array([first, second], np.int32)}

    whole = roll_of(run("compose", **steps(6, 6)))
    first = run("continue_", **steps(4, 2), state_bytes=states())
    rest = run("continue_", **steps(2, 4), state_bytes=first["state_bytes"])
    for piece, (length, left) in enumerate(((4, 2), (2, 4))):
        parts = roll_of(first)[piece, :length], roll_of(rest)[piece, :left]
        np.testing.assert_array_equal(np.concatenate(parts), whole[piece])


def test_a_piece_continues_from_a_prefilled_state_as_from_a_drawn_one():
    whole = roll_of(call("compose", compose_inputs(2, 40)))
    given = call("compose", compose_inputs(2, 24))
    roll = roll_inputs(given) | {"bar_steps": np.array([16, 16], np.int32)}
    state = states()
    for steps in (slice(0, 10), slice(10, 24)):
        part = {k: v[:, steps] if v.ndim > 1 else v for k, v in roll.items()}
        part["style"] = roll["style"]
        state = call("prefill", part | {"state_bytes": state})["state_bytes"]
    outputs = call("continue_", compose_inputs(2, 16) | {"state_bytes": state})
    np.testing.assert_array_equal(roll_of(outputs), whole[:, 24:])


def test_hear_still_answers_as_prefill():
    inputs = roll_inputs(call("compose", compose_inputs(2, 8)))
    inputs |= {"state_bytes": states(), "bar_steps": np.array([16, 16], np.int32)}
    former, current = (
        call(name, inputs)["state_bytes"] for name in ("hear", "prefill")
    )
    np.testing.assert_array_equal(former, current)


def test_bars_after_a_primer_in_three_four_have_twelve_steps():
    primer = roll_inputs(call("compose", compose_inputs(1, 12)))
    primer["bar_position"] = np.arange(12, dtype=np.int32)[None]
    state = call(
        "prefill",
        primer | {"bar_steps": np.array([12], np.int32), "state_bytes": states(b"")},
    )["state_bytes"]
    module = serving.ServingModule(exported.model(), serving.Limits(64, 4))
    unpacked = module.state_bytes.unpack(tf.constant(state))
    assert unpacked["bar_steps"].numpy() == [12]
    assert unpacked["bar_position"].numpy() == [0]
    assert unpacked["step"].numpy() == [12]


@pytest.mark.parametrize("tempo_qpm", [10.0, 93.5, 1000.0])
def test_midi_bytes_read_back_as_the_composed_cells(tmp_path, tempo_qpm):
    inputs = compose_inputs(2, num_steps=np.array([48, 17], np.int32))
    cells = roll_of(call("compose", inputs))
    inputs["tempo_qpm"] = np.full(2, tempo_qpm, np.float32)
    files = call("compose_midi", inputs)["midi_bytes"]
    low = exported.model().config.min_pitch
    for piece, length in enumerate((48, 17)):
        path = tmp_path / f"{piece}.mid"
        path.write_bytes(files[piece])
        read = matrices.from_sequence(midi.read(path))
        found = np.zeros((length, *read.cells.shape[1:]), np.uint8)
        found[: len(read)] = read.cells  # trailing silence has no notes
        wanted = np.zeros_like(found)
        wanted[:, low : low + exported.NUM_PITCHES] = cells[piece, :length]
        np.testing.assert_array_equal(found, wanted)
        # A tempo is a whole number of microseconds.
        assert read.tempo_qpm == pytest.approx(tempo_qpm, rel=2e-5)


def test_midi_bytes_of_silence_last_as_long_as_the_piece():
    silence = tf.zeros((1, 300, 14, 3), tf.uint8)
    (file,) = midi_graph.write(
        silence, tf.constant([300]), tf.constant([120.0]), 36
    ).numpy()
    # 300 steps of 120 ticks are 36000 ticks: 2 * 128**2 + 25 * 128 + 32.
    assert file == (
        b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x18"
        b"\0\xff\x51\x03\x07\xa1\x20\0\xff\x58\x04\x04\x02\x18\x08\0\xc0\0"
        b"\x82\x99\x20\xff\x2f\0"
    )


def test_variable_length_quantities_equal_the_examples_of_the_standard():
    # The examples of the MIDI file specification.
    examples = {
        0x00: b"\x00",
        0x40: b"\x40",
        0x7F: b"\x7f",
        0x80: b"\x81\x00",
        0x2000: b"\xc0\x00",
        0x3FFF: b"\xff\x7f",
        0x4000: b"\x81\x80\x00",
        0x1FFFFF: b"\xff\xff\x7f",
        0x200000: b"\x81\x80\x80\x00",
        0xFFFFFFF: b"\xff\xff\xff\x7f",
    }
    rows = midi_graph.variable_length(tf.constant(list(examples))).numpy()
    found = [bytes(digit for digit in row if digit < 256) for row in rows.tolist()]
    assert found == list(examples.values())
