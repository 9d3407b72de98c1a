"""One optimizer step on a global batch, on one replica or many.

Losses are sums over valid steps divided by the valid steps of the *global* batch, so
that a step has the same loss and gradient however the batch is split: gradients are
added up over the slices of a replica and over replicas, then clipped, then applied.
"""

import tensorflow as tf

from poph_tf.models import losses, metrics
from poph_tf.models import slices as slices_lib

# Lengths of batches may have graphs of their own, on purpose; TensorFlow counts by the
# code that is traced, and would warn of it.
tf.get_logger().addFilter(lambda record: "TrainStep._run" not in record.getMessage())


class TrainStep:
    """A compiled training step.

    A graph for one length of batches is some percent faster than one for all of them,
    and takes its seconds to compile.

    Args:
        model: PolyphonyModel, made in the strategy's scope.
        optimizer: keras optimizer, built in the strategy's scope.
        strategy: tf.distribute.Strategy.
        clip_norm: float. Global norm to clip the gradient to; 0 for none.
        ema: list of tf.Variable, the moving averages, or empty.
        ema_decay: float.
        slices: int. Into how many parts a replica's batch is cut, see `cores`.
        any_length: bool. Whether one graph takes batches of all lengths, where there is
            one replica; else each length gets its own.

    Attributes:
        compiled: dict from the shape of a batch's mask, or without its length, to the
            function that takes it.
    """

    def __init__(
        self,
        model,
        optimizer,
        strategy,
        clip_norm=0.0,
        ema=(),
        ema_decay=0.0,
        slices=1,
        any_length=False,
    ):
        self.model = model
        self.optimizer = optimizer
        self.strategy = strategy
        self.clip_norm = clip_norm
        self.ema = list(ema)
        self.ema_decay = ema_decay
        self.slices = slices
        self.any_length = any_length and strategy.num_replicas_in_sync == 1
        self.summed = _leave_sums_to_us(optimizer)
        self.compiled = {}

    def run(self, batch):
        """Takes a step on a distributed batch; returns sums over the global batch."""
        mask = self.strategy.experimental_local_results(batch["mask"])[0]
        shape = mask.shape[:1] if self.any_length else mask.shape
        if shape not in self.compiled:
            # XLA stays off: on CPU it makes the LSTMs of Keras several times slower,
            # and on GPU it would keep them from cuDNN.
            self.compiled[shape] = tf.function(
                self._run,
                [_of_any_length(batch)] if self.any_length else None,
                jit_compile=False,
                autograph=False,
            )
        return self.compiled[shape](batch)

    def _run(self, batch):
        sums = self.strategy.run(self._replica_step, args=(batch,))
        # One vector, so that many hosts wait for each other once.
        sums = self.strategy.reduce("SUM", sums, axis=None)
        for average, variable in zip(
            self.ema, self.model.trainable_variables, strict=False
        ):
            average.assign(
                self.ema_decay * average + (1.0 - self.ema_decay) * variable.value
            )
        return dict(zip(self.names, tf.unstack(sums), strict=True))

    def _replica_step(self, batch):
        num_steps = self._add_up(tf.reduce_sum(batch["mask"]))
        parts = [
            self._slice_step(part, num_steps)
            for part in slices_lib.cut(batch, self.slices)
        ]
        gradients = [
            tf.add_n(of_one) for of_one in zip(*(g for g, _ in parts), strict=True)
        ]
        gradients, norm = self._clip(self._add_up(gradients))
        self.optimizer.apply(gradients, self.model.trainable_variables)
        share = 1.0 / self.strategy.num_replicas_in_sync
        sums = slices_lib.join([s for _, s in parts]) | {"gradient_norm": norm * share}
        self.names = sorted(sums)
        return tf.stack([tf.cast(sums[name], tf.float32) for name in self.names])

    def _slice_step(self, batch, num_steps):
        """Gradients and sums of a slice; `num_steps` is of the global batch."""
        with tf.GradientTape() as tape:
            outputs = self.model(batch, training=True)
            loss = self.local_loss(outputs, batch) / tf.maximum(num_steps, 1.0)
        gradients = tape.gradient(
            loss,
            self.model.trainable_variables,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        sums = metrics.step_sums(outputs, batch, self.model.config)
        return gradients, sums | {"loss": loss}

    def local_loss(self, outputs, batch):
        """Sum of the loss over the valid steps of a slice."""
        terms = losses.likelihood_terms(outputs, batch["current"])
        total = tf.add_n([tf.reduce_sum(t * batch["mask"]) for t in terms.values()])
        # Layers add means over the valid steps that they saw.
        return total + tf.add_n(
            [tf.zeros(())] + [tf.cast(x, tf.float32) for x in self.model.losses]
        ) * tf.reduce_sum(batch["mask"])

    def _add_up(self, value):
        if self.strategy.num_replicas_in_sync == 1:
            return value
        return tf.distribute.get_replica_context().all_reduce("SUM", value)

    def _clip(self, gradients):
        """Clips the global gradient; returns it as the optimizer expects it."""
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        if not self.summed:
            replicas = self.strategy.num_replicas_in_sync
            gradients = [gradient / replicas for gradient in gradients]
        return gradients, norm


def _of_any_length(batch):
    """Specs of a batch's tensors, with the length of those that have one left open."""
    shapes = {name: x.shape.as_list() for name, x in batch.items()}
    for name in set(shapes) - {"style"}:
        shapes[name][1] = None
    return {name: tf.TensorSpec(shapes[name], batch[name].dtype) for name in batch}


def _leave_sums_to_us(optimizer):
    """Keeps Keras from adding gradients up over replicas once more.

    They must be added up before they are clipped, so Keras' own sum would only send
    everything over the wire a second time. Its hook is not public: where it has gone,
    the gradients are divided by the replicas, and Keras' sum gives them back.

    Returns:
        bool. Whether Keras now leaves the gradients as they are.
    """
    if not hasattr(optimizer, "_all_reduce_sum_gradients"):
        return False
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    return True
