"""Splits a batch into slices that the cores of a CPU process in parallel.

Threads that share one operation wait for each other at its end, and an LSTM is a long
sequence of short operations. Slices of a batch are independent until their gradients
are added up. On two cores, DeepJ's LSTMs reach 0.7 of the rate of a large matrix
product with both threads on each operation, and at least 0.76 with one slice per thread
(docs/results/speed.md).
"""

import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow import Tensor

from poph_tf import cores as cores_lib
from poph_tf.errors import InputError

# Each slice is traced and compiled separately, so there are few.
MAX_SLICES = 4
# If one of these is set, the number of threads is already decided.
THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

Batch = Mapping[str, Tensor]


def prepare(batch_size: int, cores: int = 0, begun: int | None = None) -> int:
    """Sets TensorFlow's threads so that slices of a batch run in parallel.

    Call it before TensorFlow starts its devices. Later, with a GPU, or if the
    environment sets the number of threads, it does nothing unless `cores` is given.

    Args:
        batch_size: Pieces in a batch.
        cores: Cores to use, possibly more than there are; 0 for all.
        begun: The number of slices of a run to continue. Each slice has its own
            dropout, so another number would change the run.

    Returns:
        The number of slices of a batch.

    Raises:
        InputError: If `cores` is given and cannot be applied.
    """
    unchanged = begun or 1
    if tf.config.list_physical_devices("GPU"):
        if cores:
            raise InputError(f"cores is for work on a CPU, got cores={cores} on a GPU.")
        return unchanged
    if not cores and any(name in os.environ for name in THREAD_VARIABLES):
        return unchanged
    slices = begun or slices_for(batch_size, cores or cores_lib.available())
    try:
        _set_threads(slices, cores or cores_lib.available())
    except RuntimeError:
        if cores:
            raise InputError("cores must be set before TensorFlow starts.") from None
        return unchanged
    return slices


def slices_for(batch_size: int, cores: int) -> int:
    """Returns how many slices can have a core and a row each, at most 4."""
    return min(cores, batch_size, MAX_SLICES)


def rows_of(batch_size: int, slices: int) -> list[int]:
    """Returns the number of rows of each slice, the larger ones first.

    Example:
        >>> rows_of(18, 4)
        [5, 5, 4, 4]
        >>> rows_of(2, 4)
        [1, 1]
    """
    slices = min(slices, batch_size)
    return [(batch_size + i) // slices for i in reversed(range(slices))]


def _set_threads(slices: int, cores: int) -> None:
    # A batch in one slice gives all cores to each operation. The threads within
    # operations are one pool for all slices, useful only if cores are left over. A run
    # that continues on another machine may have more slices than cores.
    threads = tf.config.threading
    side_by_side = min(slices, cores) if slices > 1 else cores
    threads.set_inter_op_parallelism_threads(side_by_side)
    threads.set_intra_op_parallelism_threads(1 if slices >= cores else cores)


def cut(batch: Batch, slices: int) -> Sequence[Batch]:
    """Cuts tensors [batch, ...] into slices with as many rows as `rows_of` says."""
    if slices == 1:
        return [batch]
    rows = rows_of(next(iter(batch.values())).shape[0], slices)
    parts = {name: tf.split(x, rows) for name, x in batch.items()}
    return [{name: x[i] for name, x in parts.items()} for i in range(len(rows))]


def join(sums: Sequence[Batch]) -> dict[str, Tensor]:
    """Adds up the sums of the slices, by name."""
    return {name: tf.add_n([part[name] for part in sums]) for name in sums[0]}
