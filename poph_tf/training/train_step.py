"""One optimizer step on a global batch, on one replica or many.

Losses are sums over valid steps divided by the number of valid steps of the *global*
batch, so a step has the same loss and gradient however the batch is divided: gradients
are added over the slices of a replica and over replicas, then clipped, then applied.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from poph_tf.models import losses, metrics
from poph_tf.models import slices as slices_lib
from poph_tf.models.polyphony_model import PolyphonyModel

Batch = Mapping[str, tf.Tensor]
# The inputs without a time axis.
OF_WHOLE_WINDOWS = ("style", "looks_ahead")

# Each length of a batch may have its own graph, on purpose; TensorFlow would warn about
# frequent retracing.
tf.get_logger().addFilter(lambda record: "TrainStep._run" not in record.getMessage())


@dataclasses.dataclass(eq=False)
class TrainStep:
    """A compiled training step.

    A graph for one length of batches is a few percent faster than a graph for all
    lengths, but takes seconds to compile.

    Args:
        model: the model, made in the strategy's scope.
        optimizer: built in the strategy's scope.
        strategy: tf.distribute.Strategy.
        clip_norm: global norm to which the gradient is clipped; 0 for no clipping.
        slices: number of slices of a replica's batch, see `models/slices.py`.
        accumulation: number of rounds of that many slices, one after the other.
        any_length: whether one graph takes batches of all lengths (with one replica
            only); otherwise each length has its own graph.
        averages: moving averages of the trainable variables; may be empty.
        ema_decay: decay of the moving averages.

    Attributes:
        compiled: the graphs, by the shape of a batch's mask, without the length if a
            graph takes all lengths.
    """

    model: PolyphonyModel
    optimizer: keras.optimizers.Optimizer
    strategy: tf.distribute.Strategy
    clip_norm: float = 0.0
    slices: int = 1
    accumulation: int = 1
    any_length: bool = False
    averages: Sequence[tf.Variable] = ()
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        self.any_length &= self.strategy.num_replicas_in_sync == 1
        # Keras would add gradients over replicas again, after they are clipped.
        self.optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        self.compiled: dict[tf.TensorShape, Any] = {}

    def run(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Takes a step on a distributed batch; returns sums over the global batch."""
        mask = self.strategy.experimental_local_results(batch["mask"])[0]
        shape = mask.shape[:1] if self.any_length else mask.shape
        if shape not in self.compiled:
            # XLA stays off: on CPU it makes the LSTMs of Keras several times slower,
            # and on GPU it would keep them from cuDNN.
            signature = [_of_any_length(batch)] if self.any_length else None
            self.compiled[shape] = tf.function(
                self._run, signature, jit_compile=False, autograph=False
            )
        return self.compiled[shape](batch)

    def _run(self, batch: Batch) -> dict[str, tf.Tensor]:
        sums = self.strategy.run(self._replica_step, args=(batch,))
        # One vector, so that workers wait for each other once.
        sums = self.strategy.reduce("SUM", sums, axis=None)
        variables, decay = self.model.trainable_variables, self.ema_decay
        for average, variable in zip(self.averages, variables, strict=False):
            average.assign(decay * average + (1.0 - decay) * variable.value)
        return dict(zip(self.names, tf.unstack(sums), strict=True))

    def _replica_step(self, batch: Batch) -> tf.Tensor:
        num_steps = self._add_over_replicas(tf.reduce_sum(batch["mask"]))
        slices = slices_lib.cut(batch, self.slices * self.accumulation)
        parts: list[tuple[list[tf.Tensor], dict[str, tf.Tensor]]] = []
        for start in range(0, len(slices), self.slices):
            at_once = slices[start : start + self.slices]
            # Wait until the slices before are done, so that their memory is free again.
            done = [gradient for gradients, _ in parts for gradient in gradients]
            with tf.control_dependencies(done):
                parts += [self._slice_step(part, num_steps) for part in at_once]
        by_variable = zip(*(gradients for gradients, _ in parts), strict=True)
        gradients = [tf.add_n(gradients) for gradients in by_variable]
        gradients = self._add_over_replicas(gradients)
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        share = 1.0 / self.strategy.num_replicas_in_sync
        sums = slices_lib.join([s for _, s in parts]) | {"gradient_norm": norm * share}
        self.names = sorted(sums)
        return tf.stack([tf.cast(sums[name], tf.float32) for name in self.names])

    def _slice_step(
        self, batch: Batch, num_steps: tf.Tensor
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients and sums of a slice; `num_steps` counts the global batch."""
        mask, variables = batch["mask"], self.model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self.model(batch, training=True)
            terms = losses.likelihood_terms(
                outputs,
                batch["current"],
                self.model.config.tracks,
                batch.get("given"),
            )
            loss = tf.add_n([tf.reduce_sum(term * mask) for term in terms.values()])
            # The losses of layers are means over the valid steps.
            means = [tf.cast(mean, tf.float32) for mean in self.model.losses]
            loss += tf.add_n([tf.zeros(()), *means]) * tf.reduce_sum(mask)
            loss /= tf.maximum(num_steps, 1.0)
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(loss, variables, unconnected_gradients=zero)
        sums = metrics.step_sums(outputs, batch, self.model.config)
        return gradients, sums | {"loss": loss}

    def _add_over_replicas(self, value: Any) -> Any:
        if self.strategy.num_replicas_in_sync == 1:
            return value
        return tf.distribute.get_replica_context().all_reduce("SUM", value)


def _of_any_length(batch: Batch) -> dict[str, tf.TensorSpec]:
    """Specs of a batch's tensors with an open time axis."""
    shapes = {name: x.shape.as_list() for name, x in batch.items()}
    for name in set(shapes) - set(OF_WHOLE_WINDOWS):
        shapes[name][1] = None
    return {name: tf.TensorSpec(shapes[name], batch[name].dtype) for name in batch}
