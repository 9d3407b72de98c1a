"""How a batch is cut into slices, and the threads that TensorFlow uses for them."""

import json
import os
import subprocess
import sys

import pytest
import small
import tensorflow as tf

from poph_tf.errors import InputError
from poph_tf.models import slices as slices_lib
from poph_tf.training import run_log

ROOT = small.ROOT
PRINT_THREADS = """
import json, os, sys
import tensorflow as tf
from poph_tf.models import slices as slices_lib
threads = tf.config.threading
for arguments, environment in json.loads(sys.argv[1]):
    os.environ.update(environment)
    threads.set_inter_op_parallelism_threads(0)
    threads.set_intra_op_parallelism_threads(0)
    slices = slices_lib.prepare(*arguments)
    print(json.dumps([slices, threads.get_inter_op_parallelism_threads(),
                      threads.get_intra_op_parallelism_threads()]))
"""


def child(*command):
    """Output of a process without a GPU and without thread settings."""
    clean = {
        k: v for k, v in os.environ.items() if k not in slices_lib.THREAD_VARIABLES
    }
    clean |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


@pytest.mark.parametrize(
    ("batch_size", "num_cores", "slices"),
    [(16, 2, 2), (16, 8, 4), (3, 2, 2), (16, 1, 1), (2, 64, 2), (1, 2, 1)],
)
def test_slices_have_a_core_and_a_row_each(batch_size, num_cores, slices):
    assert slices_lib.slices_for(batch_size, num_cores) == slices


def test_rows_of_slices_differ_by_one_at_most():
    assert slices_lib.rows_of(16, 4) == [4, 4, 4, 4]
    assert slices_lib.rows_of(3, 2) == [2, 1]
    assert slices_lib.rows_of(18, 4) == [5, 5, 4, 4]
    assert slices_lib.rows_of(2, 4) == [1, 1]


def test_threads_are_as_many_as_cores_or_what_the_environment_says():
    told = {"TF_NUM_INTRAOP_THREADS": "1"}
    # Arguments and environment: slices, inter-op threads, intra-op threads.
    cases = [
        (((16, 2), {}), (2, 2, 1)),
        # The operations of all slices share one pool of threads.
        (((16, 9), {}), (4, 4, 9)),
        (((1, 2), {}), (1, 2, 2)),
        (((16, 1), {}), (1, 1, 1)),
        # A run that continues keeps its slices.
        (((16, 2, 1), {}), (1, 2, 2)),
        (((16, 2, 4), {}), (4, 2, 1)),
        # Environment variables apply unless cores are given.
        (((16, 0), told), (1, 0, 0)),
        (((16, 2), told), (2, 2, 1)),
    ]
    out = child("-c", PRINT_THREADS, json.dumps([case for case, _ in cases]))
    found = [tuple(json.loads(line)) for line in out.splitlines()[-len(cases) :]]
    assert found == [expected for _, expected in cases]


def test_a_running_tensorflow_is_not_changed(monkeypatch):
    for name in slices_lib.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    tf.zeros(()).numpy()
    before = tf.config.threading.get_intra_op_parallelism_threads()
    assert slices_lib.prepare(16) == 1 and slices_lib.prepare(16, begun=4) == 4
    assert tf.config.threading.get_intra_op_parallelism_threads() == before
    with pytest.raises(InputError, match="before TensorFlow starts"):
        slices_lib.prepare(16, 2)


def test_a_gpu_gets_the_whole_batch(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["a GPU"])
    assert slices_lib.prepare(16) == 1
    with pytest.raises(InputError, match="cores is for work on a CPU, got cores=2"):
        slices_lib.prepare(16, 2)


def test_the_command_trains_in_slices_and_continues_with_as_many(tmp_path):
    pieces = [small.random_piece(k, 16) for k in range(4)]
    data_dir = small.write_data_set(
        tmp_path / "data", {"train": pieces, "valid": pieces[:2]}
    )
    model_dir = tmp_path / "run"
    sizes = ("num_pitches", "window_width", "num_time_units", "num_pitch_units")
    command = [
        *("-m", "poph_tf.train", "--preset=biaxial", "--strategy=mirrored"),
        *(f"--set={name}={small.SIZES[name]}" for name in sizes),
        *("--set=num_time_layers=1", "--set=num_pitch_layers=1"),
        *(f"--data_dir={data_dir}", f"--model_dir={model_dir}"),
        *("--batch_size=4", "--window_steps=8", "--preview_bars=0"),
    ]
    out = child(*command, "--cores=2", "--max_steps=1")
    assert "1 replica(s), 2 slice(s) of the batch on each" in out
    assert "Done at step 1" in out
    assert run_log.slices_of(str(model_dir)) == 2
    out = child(*command, "--cores=1", "--max_steps=2")
    assert "2 slice(s)" in out and "Done at step 2" in out
    assert run_log.slices_of(str(tmp_path / "none")) is None


def test_cut_parts_are_the_batch_in_its_order():
    batch = {"a": tf.range(12), "b": tf.reshape(tf.range(24), (12, 2))}
    parts = slices_lib.cut(batch, 4)
    assert [part["a"].numpy().tolist() for part in parts] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [9, 10, 11],
    ]
    joined = tf.concat([part["b"] for part in parts], axis=0)
    assert (joined.numpy() == batch["b"].numpy()).all()
    assert slices_lib.cut(batch, 1) == [batch]
    uneven = [part["a"].numpy().tolist() for part in slices_lib.cut(batch, 5)]
    assert uneven == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9], [10, 11]]
    totals = slices_lib.join([{"n": part["a"][0]} for part in parts])
    assert int(totals["n"]) == 0 + 3 + 6 + 9
