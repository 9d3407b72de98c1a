"""Distribution strategies of a training run, from its `DistributionConfig`."""

import json
import os
import re

import tensorflow as tf

from poph_tf.cli import signals
from poph_tf.config import DistributionConfig
from poph_tf.errors import InputError

TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make(config: DistributionConfig) -> tf.distribute.Strategy:
    """Makes the strategy of a config.

    `mirrored` without a GPU is one replica on the CPU, unless `cpu_replicas` splits it.

    Raises:
        InputError: If the workers cannot be joined, or TensorFlow has already started
            the devices that `cpu_replicas` splits.
    """
    if config.strategy == "multi_worker_mirrored":
        return _join_workers(config)
    if config.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_split_cpu(config.cpu_replicas))
    if config.strategy == "one_device":
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    return tf.distribute.get_strategy()


def _split_cpu(num_replicas: int) -> list[str] | None:
    """Splits the CPU; returns the names of its devices, None without a split."""
    if not num_replicas:
        return None
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * num_replicas
    try:
        tf.config.set_logical_device_configuration(cpu, devices)
    except RuntimeError as error:
        raise InputError(
            "cpu_replicas must be set before TensorFlow starts its devices."
        ) from error
    return [f"/cpu:{i}" for i in range(num_replicas)]


def _join_workers(config: DistributionConfig) -> tf.distribute.Strategy:
    if config.worker_hosts:
        task = {"type": "worker", "index": config.worker_index}
        settings = {"cluster": {"worker": list(config.worker_hosts)}, "task": task}
        os.environ["TF_CONFIG"] = json.dumps(settings)
    text = os.environ.get("TF_CONFIG", "")
    if not _is_cluster(text):
        raise InputError(
            "multi_worker_mirrored needs --worker_hosts=a:2222,b:2222 and "
            "--worker_index (each host:port once), or TF_CONFIG such as "
            f"{TF_CONFIG_EXAMPLE}, got {text!r}."
        )
    try:
        # TensorFlow waits for the others and lets no Python code run meanwhile.
        with signals.killable():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Cannot join the workers: {reason}") from error


def _is_cluster(text: str) -> bool:
    """Whether the text of TF_CONFIG names a task and distinct hosts with ports."""
    try:
        settings = json.loads(text)
        cluster, task = settings["cluster"], settings["task"]
        hosts = [*cluster.get("chief", ()), *cluster.get("worker", ())]
        index = int(task["index"])
        own_host = cluster[task["type"]][index]
        ports = [re.fullmatch(r".+:(\d{1,5})", host) for host in hosts]
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    are_hosts = all(match and 0 < int(match[1]) < 2**16 for match in ports)
    are_distinct = len(set(hosts)) == len(hosts)
    return index >= 0 and own_host in hosts and are_hosts and are_distinct


def check_batch(batch_size: int, num_replicas: int) -> None:
    """Raises InputError unless the global batch divides among the replicas."""
    if batch_size % num_replicas:
        raise InputError(
            f"batch_size is the global batch and must be divisible by the number of "
            f"replicas, got {batch_size} for {num_replicas}."
        )
