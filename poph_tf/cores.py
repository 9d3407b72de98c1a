"""How the cores of a CPU share a batch: in slices, each on a thread of its own.

Two threads that work on one operation wait for each other at its end, and an LSTM is a
long row of short operations. Slices of a batch need nothing of each other until their
gradients are added up. On two cores an LSTM by itself comes to 0.7 of the rate of a
large matrix product with both threads on each operation, and to 0.8 with a slice on
each (BUILD.md, "Training").
"""

import os

import tensorflow as tf

# Each slice is traced and compiled by itself, so there are few. Powers of two divide
# the batches that are usual.
SLICES = (4, 2, 1)
# Who sets these has decided how many threads there shall be.
THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def prepare(batch_size, cores=0):
    """Sets TensorFlow's threads so that slices of a batch run side by side.

    To be called before TensorFlow has started its devices; afterwards, and where there
    is a GPU, all is left as it is.

    Args:
        batch_size: int.
        cores: int. Cores to use; 0 for all, unless the environment says how many
            threads there shall be.

    Returns:
        int. Into how many slices to cut a batch.
    """
    decided = not cores and any(name in os.environ for name in THREAD_VARIABLES)
    if decided or tf.config.list_physical_devices("GPU"):
        return 1
    cores = cores or os.cpu_count()
    slices = slices_for(batch_size, cores)
    try:
        # A batch that is not cut leaves all of them to each operation.
        side_by_side = slices if slices > 1 else cores
        tf.config.threading.set_inter_op_parallelism_threads(side_by_side)
        tf.config.threading.set_intra_op_parallelism_threads(cores // slices)
    except RuntimeError:
        return 1
    return slices


def slices_for(batch_size, cores):
    """The most slices that divide a batch and have a core each."""
    return next(n for n in SLICES if n <= cores and batch_size % n == 0)


def cut(batch, slices):
    """Cuts a batch along its first axis.

    Args:
        batch: dict of name to tensor [batch, ...].
        slices: int that divides the batch.

    Returns:
        list of dict, as many as slices.
    """
    if slices == 1:
        return [batch]
    parts = {name: tf.split(x, slices) for name, x in batch.items()}
    return [{name: x[i] for name, x in parts.items()} for i in range(slices)]


def add_up(sums):
    """Adds a list of dicts of tensors up, name by name."""
    return {name: tf.add_n([part[name] for part in sums]) for name in sums[0]}
