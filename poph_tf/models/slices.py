"""How the cores of a CPU share a batch: in slices that are worked on side by side.

Two threads that work on one operation wait for each other at its end, and an LSTM is a
long row of short operations. Slices of a batch need nothing of each other until their
gradients are added up. On two cores DeepJ's LSTMs come to 0.7 of the rate of a large
matrix product with both threads on each operation, and to 0.76 or more with a slice on
each (BUILD.md, "Benchmarks").
"""

import os

import tensorflow as tf

from poph_tf.errors import InputError

# Each slice is traced and compiled by itself, so there are few.
MOST_SLICES = 4
# Who sets these has decided how many threads there shall be.
THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def prepare(batch_size, cores=0, begun=None):
    """Sets TensorFlow's threads so that slices of a batch run side by side.

    To be called before TensorFlow has started its devices. Afterwards, where there is a
    GPU, and where the environment says how many threads there shall be, all is left as
    it is, unless a number of cores is asked for.

    Args:
        batch_size: int.
        cores: int. Cores to use, more than there are if need be; 0 for all.
        begun: int, the slices of a run that goes on, or None. Each slice has dropout
            of its own, so that a run with another number would be another run.

    Returns:
        int. Into how many slices to cut a batch.

    Raises:
        InputError: If cores are asked for and can't be had.
    """
    as_is = begun or 1
    if tf.config.list_physical_devices("GPU"):
        if cores:
            raise InputError(f"cores goes with work on the CPU, got {cores} on a GPU.")
        return as_is
    if not cores and any(name in os.environ for name in THREAD_VARIABLES):
        return as_is
    slices = begun or slices_for(batch_size, cores or available())
    try:
        _set_threads(slices, cores or available())
    except RuntimeError:
        if cores:
            raise InputError("cores must be set before TensorFlow starts.") from None
        return as_is
    return slices


def available():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slices_for(batch_size, cores):
    """As many slices as have a core each, none of them empty."""
    return min(cores, batch_size, MOST_SLICES)


def rows_of(batch_size, slices):
    """The rows of each slice of a batch: at most one more in some than in others.

    Args:
        batch_size: int.
        slices: int. A batch of fewer rows has a slice for each row.

    Returns:
        list of int, the larger ones first.
    """
    slices = min(slices, batch_size)
    return [(batch_size + i) // slices for i in reversed(range(slices))]


def _set_threads(slices, cores):
    # A batch that is not cut leaves all cores to each operation. The threads of
    # operations are one pool for all slices: where no core is left over there is
    # nothing to share. A run that goes on elsewhere may have more slices than cores.
    threads = tf.config.threading
    side_by_side = min(slices, cores) if slices > 1 else cores
    threads.set_inter_op_parallelism_threads(side_by_side)
    threads.set_intra_op_parallelism_threads(1 if slices >= cores else cores)


def cut(batch, slices):
    """Cuts a batch along its first axis.

    Args:
        batch: dict of name to tensor [batch, ...].
        slices: int.

    Returns:
        list of dict, with as many rows as `rows_of` says.
    """
    if slices == 1:
        return [batch]
    rows = rows_of(next(iter(batch.values())).shape[0], slices)
    parts = {name: tf.split(x, rows) for name, x in batch.items()}
    return [{name: x[i] for name, x in parts.items()} for i in range(len(rows))]


def join(sums):
    """Adds the sums of slices up.

    Args:
        sums: list of dict of name to tensor, one for each slice.

    Returns:
        dict of name to tensor.
    """
    return {name: tf.add_n([part[name] for part in sums]) for name in sums[0]}
