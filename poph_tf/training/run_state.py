"""The state of a training run: all variables that its checkpoints hold."""

import math

import keras
import tensorflow as tf

from poph_tf import models
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.training import optimizers


class Counters:
    """The progress of a run, as plain variables that each worker has.

    Attributes:
        step: optimizer steps taken.
        epoch: epochs completed.
        batch: batches taken of this epoch.
        bad_validations: validations since the best one.
        validated: the step of the last validation.
        best_loss: the lowest validation loss.
        seconds: time spent in optimizer steps.
    """

    def __init__(self) -> None:
        self.step, self.epoch, self.batch = _count(), _count(), _count()
        self.bad_validations, self.validated = _count(), _count()
        self.best_loss = tf.Variable(math.inf, trainable=False)
        # A float32 would lose short steps after some hours.
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def epochs_done(self, epoch_steps: int) -> float:
        """Epochs completed, plus the share of the current one that is done.

        Args:
            epoch_steps: approximate steps of an epoch; used in the first one only.
        """
        epoch, batch = int(self.epoch), int(self.batch)
        steps = (int(self.step) - batch) / epoch if epoch else epoch_steps
        return epoch + min(batch / steps, 1.0)


def _count() -> tf.Variable:
    return tf.Variable(0, dtype=tf.int64, trainable=False)


class RunState:
    """The model, its optimizer, moving averages and counters.

    Args:
        model_config: the model to build.
        training: the settings of the run; its seed determines the initial weights.
        strategy: the tf.distribute.Strategy that the variables belong to.

    Attributes:
        averages: moving averages of the model's trainable variables; may be empty.
        variables: all variables but the counters, in the order of the checkpoints.
    """

    def __init__(
        self, model_config: ModelConfig, training: TrainingConfig,
        strategy: tf.distribute.Strategy,
    ) -> None:  # fmt: skip
        keras.utils.set_random_seed(training.seed)
        if training.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.mixed_precision.set_dtype_policy(training.precision)
        with strategy.scope():
            self.model = models.build(model_config)
            self.optimizer = optimizers.make(training)
            weights = self.model.trainable_variables
            self.optimizer.build(weights)
            averaged = weights if training.ema_decay else []
            self.averages = [tf.Variable(v.value, trainable=False) for v in averaged]
        keras.mixed_precision.set_dtype_policy("float32")
        self.variables = [
            *self.model.variables, *self.optimizer.variables, *self.averages
        ]  # fmt: skip
        self.counters = Counters()

    def weights(self) -> list[tf.Tensor]:
        """The weights to score and save: the moving averages, if there are any.

        Early averages still contain the initial weights. Unlike Adam's moments, they
        start from these, not from zero, so there is nothing to correct.
        """
        weights = self.averages or [v.value for v in self.model.trainable_variables]
        return [tf.convert_to_tensor(weight) for weight in weights]
