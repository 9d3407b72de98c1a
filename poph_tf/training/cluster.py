"""The processes of one training run: who is chief, and what all of them agree on.

Every process runs the same loop. What may differ between them (a signal, a clock, a
file that only one can see) goes through here before anything is decided by it, since
processes that decide differently wait for each other forever. With one process
everything is its own.
"""

import hashlib
import json

import numpy as np
import tensorflow as tf

from poph_tf.errors import InputError

# What TensorFlow raises in the processes that are left when one is lost.
LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class Cluster:
    """The workers of a strategy.

    Args:
        strategy: tf.distribute.Strategy.

    Attributes:
        num_workers: int. Processes of the run.
        index: int. This one; 0 is the chief, who alone writes files.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.num_workers, self.index = _place(strategy)
        self._add_up = tf.function(self._add_up_tensors)

    @property
    def chief(self):
        return self.index == 0

    def add(self, figures):
        """Adds numbers up over the workers.

        Args:
            figures: dict of name to number, the same names on all workers.

        Returns:
            dict of name to float.
        """
        if self.num_workers == 1:
            return figures
        names = sorted(figures)
        vector = np.array([figures[name] for name in names], np.float64)
        (total,) = self._add_up([tf.constant(vector)])
        return dict(zip(names, total.numpy().tolist(), strict=True))

    def any(self, wishes):
        """For each of a list of bools: whether it is true on at least one worker."""
        if self.num_workers == 1:
            return list(wishes)
        totals = self.add({f"{k:03d}": float(w) for k, w in enumerate(wishes)})
        return [totals[name] > 0 for name in sorted(totals)]

    def share(self, variables):
        """Gives all workers the chief's values of a list of tf.Variable."""
        if self.num_workers == 1:
            return
        kinds = {}
        for variable in variables:
            kinds.setdefault(variable.dtype, []).append(variable)
        # One vector of each type: a message for each variable would take long.
        vectors = [tf.concat([_flat(v) for v in kind], 0) for kind in kinds.values()]
        if not self.chief:
            vectors = [tf.zeros_like(vector) for vector in vectors]
        totals = self._add_up(vectors)
        for kind, total in zip(kinds.values(), totals, strict=True):
            parts = tf.split(total, [v.shape.num_elements() for v in kind])
            for variable, part in zip(kind, parts, strict=True):
                variable.assign(tf.reshape(part, variable.shape))

    def check_same(self, settings):
        """Raises InputError on all workers if one has other settings than the chief.

        Args:
            settings: JSON-ready dict.
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

    def _add_up_tensors(self, values):
        replicas = self.strategy.num_replicas_in_sync // self.num_workers

        def replica_sum():
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group % replicas == 0
            once = [tf.where(first, value, tf.zeros_like(value)) for value in values]
            # One by one: a list would have to be of one type.
            return [context.all_reduce("SUM", value) for value in once]

        sums = self.strategy.run(replica_sum)
        return [self.strategy.experimental_local_results(total)[0] for total in sums]


def _flat(variable):
    return tf.reshape(tf.convert_to_tensor(variable), [-1])


def _place(strategy):
    """(number of workers, index of this one) of a strategy."""
    resolver = getattr(strategy, "cluster_resolver", None)
    spec = resolver.cluster_spec().as_dict() if resolver else {}
    chiefs, workers = len(spec.get("chief", ())), len(spec.get("worker", ()))
    if chiefs + workers < 2:
        return 1, 0
    place = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
    return chiefs + workers, place
