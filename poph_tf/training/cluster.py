"""The processes of one training run: the chief, and decisions that all of them share.

Every process runs the same loop. What may differ between them (a signal, a clock, a
file that only one can see) goes through here before anything depends on it, because
processes that decide differently wait for each other forever. In a run of one process
nothing is exchanged.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf.errors import InputError

# What TensorFlow raises in the remaining processes when one is lost.
LOST_WORKER = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
    tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)  # fmt: skip


class Cluster:
    """The workers of a strategy.

    Args:
        strategy: tf.distribute.Strategy.

    Attributes:
        num_workers: number of processes in the run.
        index: number of this process; 0 is the chief, which alone writes files.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.num_workers, self.index = _place(strategy)
        self._sum_over_workers = tf.function(self._all_reduce, autograph=False)

    @property
    def chief(self) -> bool:
        """Whether this process is the chief."""
        return self.index == 0

    def add(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Adds numbers over the workers, by name; all workers have the same names."""
        if self.num_workers == 1:
            return dict(figures)
        names = sorted(figures)
        vector = np.array([figures[name] for name in names], np.float64)
        total = self._sum_over_workers(tf.constant(vector)).numpy()
        return dict(zip(names, total.tolist(), strict=True))

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether it is true on at least one worker."""
        totals = self.add({f"{k:03d}": float(flag) for k, flag in enumerate(flags)})
        return [totals[name] > 0 for name in sorted(totals)]

    def share(self, variables: Sequence[tf.Variable]) -> None:
        """Copies the chief's values of some variables to all workers."""
        if self.num_workers == 1:
            return
        # One vector: a message for each variable would be slow. float64 holds the
        # values of all types exactly.
        flat = [
            tf.reshape(tf.cast(v.read_value(), tf.float64), [-1]) for v in variables
        ]
        vector = tf.concat(flat, 0)
        total = self._sum_over_workers(vector if self.chief else tf.zeros_like(vector))
        parts = tf.split(total, [v.shape.num_elements() for v in variables])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(tf.cast(tf.reshape(part, variable.shape), variable.dtype))

    def check_same(self, settings: Mapping[str, Any]) -> None:
        """Raises InputError on all workers if one's settings differ from the chief's.

        Args:
            settings: a mapping of JSON values.
        """
        text = json.dumps(settings, sort_keys=True).encode()
        # 48 bits are exact in a float64.
        number = int.from_bytes(hashlib.sha256(text).digest()[:6], "big")
        chiefs = self.add({"chief": number if self.chief else 0})["chief"]
        (differs,) = self.any([number != chiefs])
        if differs:
            raise InputError(
                "All workers must be started with the same flags and the same data; "
                f"those of worker {self.index} "
                + ("are not the chief's." if number != chiefs else "are the chief's.")
            )

    def _all_reduce(self, value: tf.Tensor) -> tf.Tensor:
        """The sum of a tensor over the workers, from the first replica of each."""
        replicas = self.strategy.num_replicas_in_sync // self.num_workers

        def replica_sum() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group % replicas == 0
            return context.all_reduce("SUM", tf.where(first, value, 0.0))

        total = self.strategy.run(replica_sum)
        return self.strategy.experimental_local_results(total)[0]


def _place(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(number of workers, index of this one) of a strategy."""
    resolver = getattr(strategy, "cluster_resolver", None)
    spec = resolver.cluster_spec().as_dict() if resolver else {}
    tasks = [
        (kind, k)
        for kind in ("chief", "worker")
        for k in range(len(spec.get(kind, ())))
    ]
    if resolver is None or not tasks:
        return 1, 0
    return len(tasks), tasks.index((resolver.task_type, resolver.task_id))
