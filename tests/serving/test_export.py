"""Export directories: versions, card, warm-up requests, the command."""

import json
import os
import shutil
import subprocess
import sys

import exported
import pytest
import small
import tensorflow as tf
from exported import call, compose_inputs, states
from tensorflow.core.framework import tensor_pb2

from poph_tf import models, serving
from poph_tf.errors import InputError
from poph_tf.serving import warmup
from poph_tf.serving.states import fingerprint
from poph_tf.serving.versions import numbers


def test_card_lists_limits_and_signatures():
    card = serving.describe(exported.version_dir())
    assert card["name"] == exported.MODEL_NAME
    assert card["model"]["styles"] == list(exported.STYLES)
    assert card["limits"]["max_steps"] == exported.MAX_STEPS
    assert card["limits"]["max_batch"] == exported.MAX_BATCH
    assert card["settings"] == {"note": "test"}
    assert card["signatures"]["hear"] == {"same_as": "prefill", "deprecated": True}
    num_steps = card["signatures"]["compose"]["inputs"]["num_steps"]
    assert (num_steps["type"], num_steps["range"]) == ("int32 [batch]", "1 to 64")
    state = call("continue_", compose_inputs(1, 1) | {"state_bytes": states(b"")})
    assert len(state["state_bytes"][0]) == card["state_bytes"]


def test_card_and_graph_agree_on_the_inputs_of_each_signature():
    card = serving.describe(exported.version_dir())["signatures"]
    for name, function in exported.signatures().items():
        inputs = card[card[name].get("same_as", name)]["inputs"]
        assert set(inputs) == set(function.structured_input_signature[1])


def test_export_has_every_signature():
    assert set(exported.signatures()) == {
        "serving_default", "compose", "compose_midi", "prefill", "hear", "continue_",
        "score",
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
    monkeypatch.setattr("poph_tf.serving.saved_model._fill", _touch)
    for name in ("3", ".writing-abc", "notes"):
        (tmp_path / "m" / name).mkdir(parents=True)
    path = serving.export(None, str(tmp_path / "m"))
    assert path == tmp_path / "m" / "4"
    assert numbers(tmp_path / "m") == [3, 4]
    assert oct(os.stat(path).st_mode & 0o777) == "0o755"


def _touch(directory, *others):
    open(os.path.join(directory, "saved_model.pb"), "w").close()


def test_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        _touch(*arguments)
        raise RuntimeError("disk full")

    monkeypatch.setattr("poph_tf.serving.saved_model._fill", fail)
    with pytest.raises(RuntimeError):
        serving.export(None, str(tmp_path / "m"))
    assert os.listdir(tmp_path / "m") == []


def test_export_dir_that_is_a_file_and_impossible_limits_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a directory"):
        serving.export(exported.model(), str(tmp_path / "file"))
    with pytest.raises(
        InputError, match="max_batch must be a whole number from 1 to 4096"
    ):
        serving.Limits(max_batch=0)
    with pytest.raises(InputError, match="is not an export of poph_tf"):
        serving.describe(str(tmp_path))


def run_export(tmp_path, *flags):
    command = [sys.executable, "-m", "poph_tf.export", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_export_command_keeps_the_data_sets_description(tmp_path):
    from poph_tf import models
    from poph_tf.data import examples

    piece = small.random_piece(0, 32)
    data = small.write_data_set(
        tmp_path / "data", {"train": [piece], "valid": [piece], "test": [piece]}
    )
    (tmp_path / "model").mkdir()
    # The smallest network: writing the graphs of a larger one takes long.
    settings = small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1)
    models.save(models.build(settings), str(tmp_path / "model"))
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
    with pytest.raises(InputError, match="--data_dir must be the data set that"):
        serving.export_model_dir(
            str(tmp_path / "model"), str(tmp_path / "e" / "m"), data_dir=data
        )
    assert not (tmp_path / "e").exists()


def test_every_copy_of_a_model_accepts_its_states(tmp_path):
    models.save(small.model("poph2"), str(tmp_path))
    first, second = (models.load(str(tmp_path)) for _ in range(2))
    assert fingerprint(first) == fingerprint(second)
    changed = second.trainable_variables[0]
    changed.assign(changed + 1e-3)
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(small.model("poph")) != fingerprint(first)
