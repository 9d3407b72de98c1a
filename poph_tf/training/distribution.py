"""Distribution strategies by name, and the CPU split into logical devices."""

import json
import os

import tensorflow as tf

from poph_tf.errors import InputError

MOST_CPU_REPLICAS = 64
NAMES = ("default", "one_device", "mirrored", "multi_worker_mirrored")
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'  # noqa: E501


def split_cpu(num_replicas):
    """Splits the CPU into logical devices; must come before TensorFlow is used."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration() for _ in range(num_replicas)]
    try:
        tf.config.set_logical_device_configuration(cpu, devices)
    except RuntimeError as error:
        raise InputError(
            "cpu_replicas must be set before TensorFlow has started its devices."
        ) from error


def make(name, cpu_replicas=0, worker_hosts=(), worker_index=0):
    """Makes a tf.distribute strategy.

    Args:
        name: str. `default` (no distribution), `one_device` (the first GPU, else the
            CPU), `mirrored` (all GPUs, or the logical CPUs of `cpu_replicas`),
            `multi_worker_mirrored` (all GPUs, or the CPU, of several processes).
        cpu_replicas: int. Logical CPU devices to mirror over; 0 for none.
        worker_hosts: sequence of str, `host:port` of each process, the chief first;
            empty: as the environment variable TF_CONFIG says.
        worker_index: int. The place of this process in `worker_hosts`.

    Raises:
        InputError: If there is no such strategy, or it is not told what it needs.
    """
    if name not in NAMES:
        raise InputError(f"strategy must be one of {', '.join(NAMES)}, got {name!r}.")
    if cpu_replicas and name != "mirrored":
        raise InputError(f"cpu_replicas goes with strategy=mirrored, got {name}.")
    if not 0 <= cpu_replicas <= MOST_CPU_REPLICAS:
        raise InputError(
            f"cpu_replicas must be 0 to {MOST_CPU_REPLICAS}, got {cpu_replicas}."
        )
    if worker_index and not worker_hosts:
        raise InputError(
            f"worker_index goes with worker_hosts, got {worker_index} without them."
        )
    if worker_hosts and name != "multi_worker_mirrored":
        raise InputError(
            f"worker_hosts goes with strategy=multi_worker_mirrored, got {name}."
        )
    if name == "multi_worker_mirrored":
        return _multi_worker(worker_hosts, worker_index)
    if cpu_replicas:
        split_cpu(cpu_replicas)
        return tf.distribute.MirroredStrategy(
            [f"/cpu:{i}" for i in range(cpu_replicas)]
        )
    if name == "mirrored":
        # Without GPUs this is one replica on the CPU.
        return tf.distribute.MirroredStrategy()
    if name == "one_device":
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    return tf.distribute.get_strategy()


def _multi_worker(hosts, index):
    if hosts:
        if not 0 <= index < len(hosts):
            raise InputError(
                f"worker_index must be 0 to {len(hosts) - 1} for {len(hosts)} "
                f"worker_hosts, got {index}."
            )
        task = {"type": "worker", "index": index}
        settings = {"cluster": {"worker": list(hosts)}, "task": task}
        os.environ["TF_CONFIG"] = json.dumps(settings)
    _check_cluster(os.environ.get("TF_CONFIG", ""))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Cannot join the workers: {reason}") from error


def _check_cluster(text):
    """Raises InputError unless TF_CONFIG's text names this task and its cluster."""
    try:
        settings = json.loads(text)
        cluster, task = settings["cluster"], settings["task"]
        kinds = [kind for kind in cluster if kind in ("chief", "worker")]
        hosts = cluster[task["type"]]
        fits = task["type"] in kinds and 0 <= int(task["index"]) < len(hosts)
        every = [host for kind in kinds for host in cluster[kind]]
        fits = fits and all(_is_address(host) for host in every)
        fits = fits and len(set(every)) == len(every)
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise InputError(
            "multi_worker_mirrored needs --worker_hosts=a:2222,b:2222 and "
            "--worker_index (each host:port once), or TF_CONFIG such as "
            f"{EXAMPLE}, got {text!r}."
        )


def _is_address(text):
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def check_batch(batch_size, replicas):
    """Raises InputError unless the global batch divides among the replicas."""
    if batch_size % replicas:
        raise InputError(
            f"batch_size is the global batch and must divide among the replicas, got "
            f"{batch_size} for {replicas}."
        )
