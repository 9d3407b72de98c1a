"""Distribution strategies by name, and the CPU split into logical devices."""

import tensorflow as tf

from poph_tf.errors import InputError

NAMES = ("default", "one_device", "mirrored")


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


def make(name, cpu_replicas=0):
    """Makes a tf.distribute strategy.

    Args:
        name: str. `default` (no distribution), `one_device` (the first GPU, else the
            CPU), `mirrored` (all GPUs, or the logical CPUs of `cpu_replicas`).
        cpu_replicas: int. Logical CPU devices to mirror over; 0 for none.

    Raises:
        InputError: If there is no such strategy.
    """
    if name not in NAMES:
        raise InputError(f"strategy must be one of {', '.join(NAMES)}, got {name!r}.")
    if cpu_replicas and name != "mirrored":
        raise InputError(f"cpu_replicas goes with strategy=mirrored, got {name}.")
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
