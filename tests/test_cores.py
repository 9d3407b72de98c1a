"""How a batch is cut, and what TensorFlow's threads are told of it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from poph_tf import cores

ROOT = pathlib.Path(__file__).resolve().parent.parent
TELL = """
import json, sys
import tensorflow as tf
from poph_tf import cores
slices = cores.prepare(*json.loads(sys.argv[1]))
threads = tf.config.threading
print(json.dumps([slices, threads.get_inter_op_parallelism_threads(),
                  threads.get_intra_op_parallelism_threads()]))
"""


def threads_after(batch_size, num_cores, **environment):
    """(slices, threads side by side, threads of an operation) of a new process."""
    clean = {k: v for k, v in os.environ.items() if k not in cores.THREAD_VARIABLES}
    result = subprocess.run(
        [sys.executable, "-c", TELL, json.dumps([batch_size, num_cores])],
        cwd=ROOT,
        env=clean | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("batch_size", "num_cores", "slices"),
    [(16, 2, 2), (16, 8, 4), (6, 4, 2), (3, 2, 1), (16, 1, 1), (2, 64, 2), (12, 3, 2)],
)
def test_slices_divide_the_batch_and_have_a_core_each(batch_size, num_cores, slices):
    assert cores.slices_for(batch_size, num_cores) == slices


@pytest.mark.parametrize(
    ("batch_size", "num_cores", "expected"),
    [(16, 2, (2, 2, 1)), (16, 9, (4, 4, 2)), (3, 2, (1, 2, 2)), (16, 1, (1, 1, 1))],
)
def test_an_operation_has_the_cores_of_its_slice(batch_size, num_cores, expected):
    assert threads_after(batch_size, num_cores) == expected


def test_threads_that_the_environment_sets_are_left_unless_cores_are_asked_for():
    told = {"TF_NUM_INTRAOP_THREADS": "1"}
    assert threads_after(16, 0, **told) == (1, 0, 0)
    assert threads_after(16, 2, **told) == (2, 2, 1)


def test_a_tensorflow_that_runs_already_is_left_as_it_is():
    tf.zeros(()).numpy()
    before = tf.config.threading.get_intra_op_parallelism_threads()
    assert cores.prepare(16, 2) == 1
    assert tf.config.threading.get_intra_op_parallelism_threads() == before


def test_cut_parts_are_the_batch_in_its_order():
    batch = {"a": tf.range(12), "b": tf.reshape(tf.range(24), (12, 2))}
    parts = cores.cut(batch, 4)
    assert [part["a"].numpy().tolist() for part in parts] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [9, 10, 11],
    ]
    joined = tf.concat([part["b"] for part in parts], axis=0)
    assert (joined.numpy() == batch["b"].numpy()).all()
    assert cores.cut(batch, 1) == [batch]
    totals = cores.add_up([{"n": part["a"][0]} for part in parts])
    assert int(totals["n"]) == 0 + 3 + 6 + 9
