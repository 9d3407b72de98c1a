"""The SavedModel: the same pieces wherever it runs, and an answer to whatever comes."""

import json
import os
import shutil
import subprocess
import sys

import exported
import numpy as np
import pytest
import small
import tensorflow as tf
from exported import call, roll_inputs, roll_of, states, wishes
from tensorflow.core.framework import tensor_pb2

from poph_tf import generation, losses, matrices, midi, serving
from poph_tf.errors import InputError
from poph_tf.serving import midi_graph, warmup
from poph_tf.serving.versions import numbers

# Composes in a process where poph_tf is not to be had, though it may be installed.
ELSEWHERE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("poph_tf", "note_seq"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import numpy as np
import tensorflow as tf

directory, inputs, outputs = sys.argv[1:]
loaded = tf.saved_model.load(directory)
inputs = {k: tf.constant(v) for k, v in np.load(inputs).items()}
found = loaded.signatures["serving_default"](**inputs)
np.savez(outputs, **{k: v.numpy() for k, v in found.items()})
assert not {"poph_tf", "note_seq"} & set(sys.modules)
"""


def composed_by_generation(num_pieces, num_bars, seed):
    """uint8 [piece, time, pitch, 3] from the path of `poph_tf.generate`."""
    composer = generation.Composer(exported.model(), jit_compile=False)
    wanted = generation.Wishes(
        num_pieces=num_pieces,
        num_bars=num_bars,
        seed=seed,
        style="bach:0.75,palestrina:0.25",
    )
    low = exported.model().config.min_pitch
    pieces = composer.compose(wanted)
    return np.stack([p.cells[:, low : low + exported.NUM_PITCHES] for p in pieces])


def test_export_composes_where_poph_tf_cannot_be_imported(tmp_path):
    np.savez(tmp_path / "in.npz", **wishes(2, 32))
    paths = [exported.version_dir(), tmp_path / "in.npz", tmp_path / "out.npz"]
    command = [sys.executable, "-I", "-c", ELSEWHERE, *map(str, paths)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    found = np.load(tmp_path / "out.npz")
    cells = roll_of(found)
    assert cells[..., 0].any(axis=(1, 2)).all()
    np.testing.assert_array_equal(found["length"], [32, 32])
    np.testing.assert_array_equal(cells, composed_by_generation(2, 2, seed=7))


def test_pieces_are_canonical_and_end_in_zeros():
    cells = roll_of(call("compose", wishes(2, num_steps=np.array([24, 9], np.int32))))
    assert cells.shape == (2, 24, exported.NUM_PITCHES, 3)
    assert cells[1, :9].any()
    assert not cells[1, 9:].any()
    for piece in cells:
        whole = np.zeros((24, 128, 3), np.uint8)
        whole[:, : exported.NUM_PITCHES] = piece
        matrices.validate(matrices.Matrices(whole, np.arange(24, dtype=np.uint8)))


def test_piece_keeps_its_notes_whatever_its_batch():
    together = call("compose", wishes(4, num_steps=np.array([24, 9, 40, 1], np.int32)))
    for piece, num_steps in enumerate((24, 9, 40, 1)):
        own = {name: value[piece : piece + 1] for name, value in wishes(4).items()}
        own["num_steps"] = np.array([num_steps], np.int32)
        alone = roll_of(call("compose", own))
        np.testing.assert_array_equal(alone[0], roll_of(together)[piece, :num_steps])


def test_serving_default_is_compose():
    ours, default = (call(n, wishes(1)) for n in ("compose", "serving_default"))
    np.testing.assert_array_equal(roll_of(ours), roll_of(default))


def test_score_is_the_models_likelihood():
    outputs = call("compose", wishes(2, 40))
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
    monkeypatch.setattr("poph_tf.serving.module.WINDOW_STEPS", 6)
    module = serving.ServingModule(exported.model(), serving.Limits(64, 4))
    inputs = roll_inputs(call("compose", wishes(2, 40)))
    windowed = module.score(**{k: tf.constant(v) for k, v in inputs.items()})
    whole = call("score", inputs)
    for name, value in whole.items():
        np.testing.assert_allclose(windowed[name], value, rtol=1e-4, atol=1e-4)


def test_bar_by_bar_is_the_piece_in_one_go():
    whole = roll_of(call("compose", wishes(2, 48)))
    state, bars = states(), [[], []]
    for num_steps in ([16, 16], [16, 5], [16, 27]):
        inputs = wishes(2, num_steps=np.array(num_steps, np.int32))
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
    inputs = wishes(2) | {"style": np.ones((2, 1), np.float32)}

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


def test_piece_goes_on_from_what_was_heard_as_from_what_was_drawn():
    whole = roll_of(call("compose", wishes(2, 40)))
    heard = call("compose", wishes(2, 24))
    roll = roll_inputs(heard) | {"bar_steps": np.array([16, 16], np.int32)}
    state = states()
    for steps in (slice(0, 10), slice(10, 24)):
        part = {k: v[:, steps] if v.ndim > 1 else v for k, v in roll.items()}
        part["style"] = roll["style"]
        state = call("hear", part | {"state_bytes": state})["state_bytes"]
    outputs = call("continue_", wishes(2, 16) | {"state_bytes": state})
    np.testing.assert_array_equal(roll_of(outputs), whole[:, 24:])


def test_bars_after_a_primer_in_three_four_have_twelve_steps():
    primer = roll_inputs(call("compose", wishes(1, 12)))
    primer["bar_position"] = np.arange(12, dtype=np.int32)[None]
    state = call(
        "hear",
        primer | {"bar_steps": np.array([12], np.int32), "state_bytes": states(b"")},
    )["state_bytes"]
    module = serving.ServingModule(exported.model(), serving.Limits(64, 4))
    unpacked = module.state_bytes.unpack(tf.constant(state))
    assert unpacked["bar_steps"].numpy() == [12]
    assert unpacked["bar_position"].numpy() == [0]
    assert unpacked["step"].numpy() == [12]


@pytest.mark.parametrize("tempo_qpm", [10.0, 93.5, 1000.0])
def test_midi_bytes_read_back_as_the_composed_cells(tmp_path, tempo_qpm):
    inputs = wishes(2, num_steps=np.array([48, 17], np.int32))
    cells = roll_of(call("compose", inputs))
    inputs["tempo_qpm"] = np.full(2, tempo_qpm, np.float32)
    files = call("compose_midi", inputs)["midi_bytes"]
    low = exported.model().config.min_pitch
    for piece, length in enumerate((48, 17)):
        path = tmp_path / f"{piece}.mid"
        path.write_bytes(files[piece])
        read = matrices.from_sequence(midi.read(path))
        found = np.zeros((length, *read.cells.shape[1:]), np.uint8)
        found[: len(read)] = read.cells  # silence at the end is no note
        wanted = np.zeros_like(found)
        wanted[:, low : low + exported.NUM_PITCHES] = cells[piece, :length]
        np.testing.assert_array_equal(found, wanted)
        # A tempo is a whole number of microseconds.
        assert read.tempo_qpm == pytest.approx(tempo_qpm, rel=2e-5)


def test_midi_bytes_of_silence_are_a_file_as_long_as_the_piece():
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


def test_variable_length_quantities_are_those_of_the_standard():
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


def refused(signature, inputs):
    """The message that a signature answers bad inputs with."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        call(signature, inputs)
    return str(caught.value)


BAD_WISHES = {
    "no steps": ({"num_steps": [0, 4]}, "num_steps must be 1 to 64, got] [0 4]"),
    "negative steps": ({"num_steps": [4, -1]}, "num_steps must be 1 to 64"),
    "too many steps": ({"num_steps": [65, 4]}, "num_steps must be 1 to 64"),
    "cold": (
        {"temperature": [1.0, -0.5]},
        "temperature must be 0 to 10, got] [1 -0.5]",
    ),
    "hot": ({"temperature": [10.5, 1.0]}, "temperature must be 0 to 10"),
    "NaN": ({"temperature": [np.nan, 1.0]}, "temperature must be 0 to 10"),
    "infinite": ({"temperature": [1.0, np.inf]}, "temperature must be 0 to 10"),
    "NaN style": ({"style": [[np.nan, 1.0], [1.0, 0.0]]}, "style must be shares"),
    "no style": ({"style": [[0.0, 0.0], [1.0, 0.0]]}, "add up to 1"),
    "negative style": ({"style": [[1.5, -0.5], [1.0, 0.0]]}, "style must be shares"),
    "unequal": ({"temperature": [1.0]}, "all inputs must have the same batch size"),
}
COMPOSING = {
    "compose": {},
    "compose_midi": {"tempo_qpm": np.array([120, 120], np.float32)},
    "continue_": {"state_bytes": states()},
}


@pytest.mark.parametrize("signature", COMPOSING)
@pytest.mark.parametrize("case", BAD_WISHES)
def test_wish_out_of_range_is_refused_with_what_is_allowed(signature, case):
    wrong, message = BAD_WISHES[case]
    wrong = {k: np.array(v, wishes()[k].dtype) for k, v in wrong.items()}
    assert message in refused(signature, wishes() | COMPOSING[signature] | wrong)
    again = roll_of(call("compose", wishes(1, 16)))
    np.testing.assert_array_equal(again, roll_of(_known_piece()))


def _known_piece():
    if not _known:
        _known.append(call("compose", wishes(1, 16)))
    return _known[0]


_known = []


def test_negative_seeds_are_as_good_as_others():
    seeds = [np.array([[seed, 0]], np.int32) for seed in (-1, -(2**31), 2**31 - 1)]
    found = [roll_of(call("compose", wishes(1) | {"seed": seed})) for seed in seeds]
    assert all(piece.any() for piece in found)
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("batch", [0, exported.MAX_BATCH + 1])
def test_batch_outside_the_limits_is_refused(batch):
    message = refused("compose", wishes(batch))
    assert "the batch must be 1 to 4 pieces" in message


@pytest.mark.parametrize("tempo_qpm", [np.nan, 9.9, 1000.5, -120.0])
def test_tempo_out_of_range_is_refused(tempo_qpm):
    tempi = {"tempo_qpm": np.array([120.0, tempo_qpm], np.float32)}
    assert "tempo_qpm must be 10 to 1000" in refused("compose_midi", wishes() | tempi)


BAD_ROLLS = {
    "play": (lambda x: x * 2, "play must be 0 or 1"),
    "replay": (lambda x: x + 2, "replay must be 0 or 1"),
    "volume": (lambda x: x | 128, "volume must be 0 to 127"),
    "bar_position": (lambda x: x - 20, "bar_position must be 0 or more"),
    "style": (lambda x: x * 2, "style must be shares"),
}


@pytest.mark.parametrize("signature", ["score", "hear"])
@pytest.mark.parametrize("name", BAD_ROLLS)
def test_matrices_out_of_range_are_refused(signature, name):
    inputs = roll_inputs(call("compose", wishes(2, 16)))
    change, message = BAD_ROLLS[name]
    inputs[name] = change(inputs[name])
    if signature == "hear":
        bar_steps = np.array([16, 16], np.int32)
        inputs |= {"state_bytes": states(), "bar_steps": bar_steps}
    assert message in refused(signature, inputs)


def test_matrices_of_unequal_or_no_or_too_many_steps_are_refused():
    inputs = roll_inputs(call("compose", wishes(2, 16)))
    shorter = inputs | {"replay": inputs["replay"][:, :-1]}
    assert "must have the same steps" in refused("score", shorter)
    for num_steps in (0, 80):
        silent = {
            name: np.resize(value, (2, num_steps, *value.shape[2:]))
            for name, value in inputs.items()
            if name != "style"
        }
        message = refused("score", inputs | silent)
        assert "matrices must have 1 to 64 steps" in message


@pytest.mark.parametrize("bar_steps", [0, -1, 257])
def test_bar_lengths_out_of_range_are_refused(bar_steps):
    inputs = roll_inputs(call("compose", wishes(1, 16)))
    inputs |= {"state_bytes": states(b""), "bar_steps": np.array([bar_steps], np.int32)}
    assert "bar_steps must be 1 to 256" in refused("hear", inputs)


def tampered_states():
    good = call("continue_", wishes(1, 4) | {"state_bytes": states(b"")})
    good = good["state_bytes"][0]
    with_nan = bytearray(good)
    with_nan[-4:] = np.float32(np.nan).tobytes()
    with_no_bar = np.frombuffer(good, np.int32).copy()
    with_no_bar[np.flatnonzero(with_no_bar == exported.BAR_STEPS)] = 0
    return {
        "cut short": (good[:-1], "state_bytes must be empty or"),
        "too long": (good + b"\0" * 4, "state_bytes must be empty or"),
        "made up": (b"\0" * len(good), "of this model version"),
        "another model's": (
            good[:4] + b"otherone" + good[12:],
            "state_bytes must come from hear or continue_ of this model version",
        ),
        "not a number": (bytes(with_nan), "state_bytes must be unchanged"),
        "no bar": (with_no_bar.tobytes(), "bar_steps must be 1 to 256"),
    }


@pytest.mark.parametrize(
    "case",
    ["cut short", "too long", "made up", "another model's", "not a number", "no bar"],
)
def test_state_that_is_not_ours_is_refused(case):
    state, message = tampered_states()[case]
    inputs = wishes(2, 4) | {"state_bytes": states(b"", state)}
    assert message in refused("continue_", inputs)


def test_wrong_rank_is_refused():
    with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError)):
        call("compose", wishes() | {"seed": np.zeros(2, np.int32)})


def test_card_says_what_may_be_asked_for():
    card = serving.describe(exported.version_dir())
    assert card["name"] == exported.MODEL_NAME
    assert card["model"]["styles"] == list(exported.STYLES)
    assert card["limits"]["max_steps"] == exported.MAX_STEPS
    assert card["limits"]["max_batch"] == exported.MAX_BATCH
    assert card["settings"] == {"note": "test"}
    state = call("continue_", wishes(1, 1) | {"state_bytes": states(b"")})
    assert len(state["state_bytes"][0]) == card["state_bytes"]


def test_export_has_every_signature():
    assert set(exported.signatures()) == {
        "serving_default", "compose", "compose_midi", "hear", "continue_", "score",
    }  # fmt: skip


def _message_types():
    """The messages of a warm-up file, from the field numbers of their protos."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text = 9, 1  # TYPE_STRING, LABEL_OPTIONAL
    fields = {
        "Spec": [("name", 1, *text, ""), ("signature_name", 3, *text, "")],
        "Entry": [("key", 1, *text, ""), ("value", 2, 12, 1, "")],
        "Request": [("model_spec", 1, 11, 1, "Spec"), ("inputs", 2, 11, 3, "Entry")],
        "Predict": [("request", 1, 11, 1, "Request")],
        "Log": [("predict_log", 6, 11, 1, "Predict")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="warmup")
    for message, rows in fields.items():
        descriptor = file.message_type.add(name=message)
        for name, number, kind, label, other in rows:
            field = descriptor.field.add(
                name=name, number=number, type=kind, label=label
            )
            if other:
                field.type_name = f".warmup.{other}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("warmup.Log"))


def test_warmup_requests_run_one_piece_through_each_signature():
    path = exported.version_dir() / "assets.extra" / warmup.FILE
    log_type = _message_types()
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = log_type.FromString(record).predict_log.request
        assert request.model_spec.name == exported.MODEL_NAME
        seen.append(request.model_spec.signature_name)
        inputs = {}
        for entry in request.inputs:
            proto = tf.make_ndarray(tensor_pb2.TensorProto.FromString(entry.value))
            inputs[entry.key] = proto
        outputs = call(seen[-1], inputs)
        assert len(next(iter(outputs.values()))) == 1
    assert sorted(seen) == sorted(exported.signatures())


def test_versions_only_grow_and_unfinished_ones_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr("poph_tf.serving.versions._fill", _touch)
    for name in ("3", ".writing-abc", "notes"):
        (tmp_path / "m" / name).mkdir(parents=True)
    path = serving.export(None, str(tmp_path / "m"))
    assert path == str(tmp_path / "m" / "4")
    assert numbers(str(tmp_path / "m")) == [3, 4]
    assert oct(os.stat(path).st_mode & 0o777) == "0o755"


def _touch(directory, *others):
    open(os.path.join(directory, "saved_model.pb"), "w").close()


def test_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        _touch(*arguments)
        raise RuntimeError("disk full")

    monkeypatch.setattr("poph_tf.serving.versions._fill", fail)
    with pytest.raises(RuntimeError):
        serving.export(None, str(tmp_path / "m"))
    assert os.listdir(tmp_path / "m") == []


def test_export_dir_that_is_a_file_and_impossible_limits_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a directory"):
        serving.export(exported.model(), str(tmp_path / "file"))
    with pytest.raises(InputError, match="max_batch must be 1 to 4096, got 0"):
        serving.Limits(max_batch=0)
    with pytest.raises(InputError, match="no export of poph_tf"):
        serving.describe(str(tmp_path))


def run_export(tmp_path, *flags):
    command = [sys.executable, "-m", "poph_tf.export", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_export_command_keeps_the_data_sets_description(tmp_path):
    from poph_tf import examples, models

    piece = small.random_piece(0, 32)
    data = small.write_data_set(
        tmp_path / "data", {"train": [piece], "valid": [piece], "test": [piece]}
    )
    (tmp_path / "model").mkdir()
    models.save(exported.model(), str(tmp_path / "model"))
    data_id = examples.read_info(data).id
    settings = tmp_path / "model" / "config.json"
    settings.write_text(json.dumps({"data": {"id": data_id}}))
    flags = [f"--model_dir={tmp_path}/model", f"--export_dir={tmp_path}/e/m"]
    done = run_export(tmp_path, *flags, f"--data_dir={data}", "--max_steps=32")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{tmp_path}/e/m/1"
    kept = tmp_path / "e" / "m" / "1" / "assets.extra" / "dataset_info.json"
    assert kept.read_bytes() == (tmp_path / "data" / "dataset_info.json").read_bytes()
    settings.write_text(json.dumps({"data": {"id": "another"}}))
    shutil.rmtree(tmp_path / "e")
    done = run_export(tmp_path, *flags, f"--data_dir={data}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --data_dir must be the data set that")
    assert not (tmp_path / "e").exists()
