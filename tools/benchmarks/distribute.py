"""What a second replica brings, one thread each, and what the all-reduce takes.

Three measurements, each in processes of its own with one thread for each replica: one
replica, two logical CPUs of one process (MirroredStrategy) and two processes that talk
over the loopback (MultiWorkerMirroredStrategy). The global batch is the same in all,
so twice the steps per second would be perfect. The all-reduce alone is timed too, on
tensors of the gradient's shapes.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

PRESET = "poph"
BATCH, WINDOW = 8, 32


def run(quick=False):
    """Figures for one and two replicas."""
    repetitions = 3 if quick else 10
    one = _start(["one"], repetitions)
    mirrored = _start(["mirrored"], repetitions)
    hosts = f"127.0.0.1:{_free_port()},127.0.0.1:{_free_port()}"
    workers = _start([f"{hosts} 0", f"{hosts} 1"], repetitions)
    rate = {
        name: 1 / found["seconds_per_step"]
        for name, found in (("one", one), ("two", mirrored), ("workers", workers))
    }
    return {
        "steps_per_second_1_replica": rate["one"],
        "steps_per_second_2_replicas": rate["two"],
        "steps_per_second_2_workers": rate["workers"],
        "speedup_2_replicas": rate["two"] / rate["one"],
        "speedup_2_workers": rate["workers"] / rate["one"],
        "all_reduce_seconds_2_replicas": mirrored["all_reduce_seconds"],
        "all_reduce_seconds_2_workers": workers["all_reduce_seconds"],
        "share_of_step_all_reduce_2_replicas": mirrored["all_reduce_seconds"]
        * rate["two"],
        "share_of_step_all_reduce_2_workers": workers["all_reduce_seconds"]
        * rate["workers"],
        "gradient_bytes": one["gradient_bytes"],
        "batch": [BATCH, WINDOW],
        "preset": PRESET,
    }


def _start(roles, repetitions):
    """Runs a process for each role; returns what the first one found."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, role, str(repetitions)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in roles
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(outputs[0].splitlines()[-1])


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def measure(role, repetitions):
    """Seconds of a step and of an all-reduce in this process.

    Args:
        role: str. `one`, `mirrored`, or the hosts and the place among them.
        repetitions: int.
    """
    import keras
    import tensorflow as tf

    from poph_tf import config, models
    from poph_tf.training import train_step

    strategy = _strategy(role)
    with strategy.scope():
        model = models.build(config.preset(PRESET))
        optimizer = keras.optimizers.Nadam(1e-3)
        optimizer.build(model.trainable_variables)
    step = train_step.TrainStep(model, optimizer, strategy)
    batch = _batch(strategy, model.config)

    @tf.function
    def all_reduce():
        def replica():
            context = tf.distribute.get_replica_context()
            # The weights stand for the gradient; constants would be folded away.
            values = [tf.identity(v.value) for v in model.trainable_variables]
            sums = context.all_reduce("SUM", values)
            return tf.add_n([tf.reduce_sum(total) for total in sums])

        return strategy.reduce("SUM", strategy.run(replica), axis=None)

    return {
        "seconds_per_step": _best(lambda: step.run(batch)["loss"], repetitions),
        "all_reduce_seconds": _best(all_reduce, 2 * repetitions),
        "gradient_bytes": 4 * model.count_params(),
    }


def _strategy(role):
    import tensorflow as tf

    from poph_tf.training import distribution

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    if role == "mirrored":
        return distribution.make("mirrored", cpu_replicas=2)
    if role == "one":
        return distribution.make("default")
    hosts, index = role.split()
    return distribution.make(
        "multi_worker_mirrored", worker_hosts=hosts.split(","), worker_index=int(index)
    )


def _batch(strategy, config):
    import tensorflow as tf

    from benchmarks.train import random_batch

    batches = tf.data.Dataset.from_tensors(random_batch(config, BATCH, WINDOW))
    batches = batches.unbatch().batch(BATCH, drop_remainder=True).repeat()
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    distributed = strategy.experimental_distribute_dataset(
        batches.with_options(options)
    )
    return next(iter(distributed))


def _best(work, repetitions):
    float(work())
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        float(work())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ROOT = pathlib.Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))), flush=True)
