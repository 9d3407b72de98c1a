"""The SavedModel through TensorFlow's C API, from a process without our package."""

import json
import pathlib
import subprocess
import sys

import exported
import numpy as np
import pytest
import small
import tensorflow as tf
from exported import call, compose_inputs, roll_of
from tensorflow.core.protobuf import saved_model_pb2

SCRIPT = small.TESTS / "c_api_compose.py"
LIBRARIES = pathlib.Path(tf.__file__).parent

pytestmark = pytest.mark.skipif(
    not (LIBRARIES / "libtensorflow_cc.so.2").exists(),
    reason="This TensorFlow wheel has no C library of this name",
)


def tensor_names(signature):
    """The graph's tensors of a signature's inputs and outputs, by name."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((exported.version_dir() / "saved_model.pb").read_bytes())
    found = saved.meta_graphs[0].signature_def[signature]
    return {
        side: {name: info.name for name, info in getattr(found, side).items()}
        for side in ("inputs", "outputs")
    }


def run(tmp_path, inputs):
    np.savez(tmp_path / "in.npz", **inputs)
    (tmp_path / "names.json").write_text(json.dumps(tensor_names("compose")))
    command = [
        sys.executable, "-I", SCRIPT, LIBRARIES, exported.version_dir(),
        tmp_path / "names.json", tmp_path / "in.npz", tmp_path / "out.npz",
    ]  # fmt: skip
    return subprocess.run(
        [str(part) for part in command],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_c_api_composes_the_same_piece(tmp_path):
    inputs = compose_inputs(2, num_steps=np.array([32, 20], np.int32))
    done = run(tmp_path, inputs)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(roll_of(found), roll_of(call("compose", inputs)))
    np.testing.assert_array_equal(found["length"], [32, 20])


def test_c_api_refuses_what_is_out_of_range(tmp_path):
    done = run(
        tmp_path, compose_inputs(1) | {"temperature": np.array([np.nan], np.float32)}
    )
    assert done.returncode == 1
    assert "temperature must be 0 to 10, got] [nan]" in done.stderr
