"""The gain from a second replica with one thread each, and the cost of all-reduce.

Three measurements, each in its own processes with one thread per replica: one replica,
two logical CPUs of one process (MirroredStrategy) and two processes that communicate
over loopback (MultiWorkerMirroredStrategy). All have the same global batch, so twice
the steps per second would be perfect. The all-reduce is also timed alone, on tensors
with the gradient's shapes.
"""

import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import Any

PRESET = "poph"
BATCH, WINDOW = 8, 32


def run(quick: bool = False) -> dict[str, Any]:
    """Measures one and two replicas."""
    repetitions = 3 if quick else 10
    hosts = [f"127.0.0.1:{_free_port()}" for _ in range(2)]
    workers = [
        {"strategy": "multi_worker_mirrored", "worker_hosts": hosts, "worker_index": k}
        for k in range(2)
    ]
    one = _start([{}], repetitions)
    replicas = _start([{"strategy": "mirrored", "cpu_replicas": 2}], repetitions)
    figures = {
        "steps_per_second_1_replica": 1 / one["seconds_per_step"],
        "gradient_bytes": one["gradient_bytes"],
        "batch": [BATCH, WINDOW],
        "preset": PRESET,
    }
    two = {"2_replicas": replicas, "2_workers": _start(workers, repetitions)}
    for name, found in two.items():
        step, all_reduce = found["seconds_per_step"], found["all_reduce_seconds"]
        figures |= {
            f"steps_per_second_{name}": 1 / step,
            f"speedup_{name}": one["seconds_per_step"] / step,
            f"all_reduce_seconds_{name}": all_reduce,
            f"share_of_step_all_reduce_{name}": all_reduce / step,
        }
    return figures


def _start(roles: list[dict[str, Any]], repetitions: int) -> dict[str, float]:
    """Runs a process for each role; returns the figures of the first."""

    def child(role: dict[str, Any]) -> str:
        command = [sys.executable, __file__, json.dumps(role), str(repetitions)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    with concurrent.futures.ThreadPoolExecutor() as pool:
        first, *_ = pool.map(child, roles)
    return json.loads(first.splitlines()[-1])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def measure(role: dict[str, Any], repetitions: int) -> dict[str, float]:
    """Times a step and an all-reduce; `role` is a `DistributionConfig`."""
    import keras
    import tensorflow as tf

    from benchmarks.train import fastest, random_batch
    from poph_tf import config, models
    from poph_tf.training import distribution, train_step

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    strategy = distribution.make(config.DistributionConfig(**role))
    with strategy.scope():
        model = models.build(config.preset(PRESET))
        optimizer = keras.optimizers.Nadam(1e-3)
        optimizer.build(model.trainable_variables)
    step = train_step.TrainStep(model, optimizer, strategy)
    batches = tf.data.Dataset.from_tensors(random_batch(model.config, BATCH, WINDOW))
    (batch,) = strategy.experimental_distribute_dataset(batches)

    def replica() -> tf.Tensor:
        # The weights stand in for the gradient; constants would be folded away.
        values = [tf.identity(v.value) for v in model.trainable_variables]
        sums = tf.distribute.get_replica_context().all_reduce("SUM", values)
        return tf.add_n([tf.reduce_sum(total) for total in sums])

    all_reduce = tf.function(
        lambda: strategy.reduce("SUM", strategy.run(replica), axis=None)
    )
    step.run(batch)
    all_reduce()
    return {
        "seconds_per_step": fastest(lambda: step.run(batch)["loss"], repetitions),
        "all_reduce_seconds": fastest(all_reduce, 2 * repetitions),
        "gradient_bytes": 4 * model.count_params(),
    }


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ROOT = pathlib.Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
    print(json.dumps(measure(json.loads(sys.argv[1]), int(sys.argv[2]))), flush=True)
