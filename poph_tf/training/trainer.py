"""Training: epochs over a data set, validations, checkpoints, best weights.

The loop is our own, not `Model.fit`: its loss is exact for any number of replicas and
workers, it clips after the sum over replicas, its checkpoints hold the place in the
data, and it can be killed at any moment and started again.

A model directory holds `config.json` (all settings and provenance), `model.keras` (the
best weights by validation loss), `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
Of several workers only the first, the chief, reads and writes it.
"""

import gc
import itertools
import math
import os
import signal
import time

import keras
import tensorflow as tf
from absl import logging

from poph_tf import provenance
from poph_tf.data import dataset, recovery
from poph_tf.errors import InputError, Interrupted
from poph_tf.evaluation import likelihood
from poph_tf.models import metrics, polyphony_model
from poph_tf.training import distribution, finetuning, optimizers
from poph_tf.training.checkpoints import Checkpoints
from poph_tf.training.cluster import LOST_WORKER, Cluster
from poph_tf.training.run_log import Recorder, check_same_run, progress_line
from poph_tf.training.running_metrics import Tally
from poph_tf.training.train_step import TrainStep

__all__ = ["Trainer", "check_same_run"]

# From how many steps on a graph for each length of batches is worth its compilation.
STEPS_WORTH_GRAPHS = 500
SECONDS_BETWEEN_COLLECTIONS = 10.0  # a collection takes a moment, a tiny epoch less
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Trainer:
    """One training run; nothing is written before `run`.

    Args:
        model_config: ModelConfig, with the styles of the data.
        training: TrainingConfig.
        data_dir: str.
        model_dir: str.
        strategy: tf.distribute.Strategy.
        slices: int. Into how many parts a batch is cut, from `cores.prepare`.

    Attributes:
        steps_per_epoch: int, about.
        total_steps: int, at most, about.
    """

    def __init__(self, model_config, training, data_dir, model_dir, strategy, slices=1):
        self.training = training
        self.strategy = strategy
        self.slices = slices
        self.cluster = Cluster(strategy)
        distribution.check_batch(training.batch_size, strategy.num_replicas_in_sync)
        info, paths = dataset.open_split(data_dir, "train")
        _, self.valid_paths = dataset.open_split(data_dir, "valid")
        if self.cluster.chief:
            check_same_run(model_dir, model_config, training, info.id)
        self.damaged = recovery.find(paths) if training.skip_corrupt else []
        self.stream = dataset.Stream(
            paths, model_config, training, damaged=bool(self.damaged)
        )
        self.steps_per_epoch = dataset.estimate_steps(info.splits["train"], training)
        self.total_steps = training.epochs * self.steps_per_epoch
        if training.max_steps:
            self.total_steps = min(self.total_steps, training.max_steps)
        keras.utils.set_random_seed(training.seed)
        if training.deterministic:
            tf.config.experimental.enable_op_determinism()
        self._make_model(model_config)
        self._make_state(model_dir)
        self._settings = self._describe(data_dir, info)

    def _make_model(self, model_config):
        training = self.training
        keras.mixed_precision.set_dtype_policy(training.precision)
        with self.strategy.scope():
            self.model = polyphony_model.build(model_config)
            self.optimizer = optimizers.make(training)
            self.optimizer.build(self.model.trainable_variables)
            self.ema = []
            if training.ema_decay:
                self.ema = [
                    tf.Variable(v.value, trainable=False)
                    for v in self.model.trainable_variables
                ]
        keras.mixed_precision.set_dtype_policy("float32")
        self.step = TrainStep(
            self.model,
            self.optimizer,
            self.strategy,
            training.clip_norm,
            self.ema,
            training.ema_decay,
            self.slices,
            any_length=self.total_steps < STEPS_WORTH_GRAPHS,
        )
        # Scoring runs one copy of the weights, in float32, outside the strategy.
        self.scored = polyphony_model.build(model_config)
        # Short windows, since each batch is filled up to a whole one.
        self.scorer = likelihood.Scorer(
            self.scored,
            max(training.batch_size, 8),
            window_steps=32,
            slices=self.slices,
        )

    def _make_state(self, model_dir):
        # Plain variables: each worker has its own, and `share` makes them the same.
        self.counters = {
            name: tf.Variable(0, dtype=tf.int64, trainable=False)
            for name in ("step", "epoch", "batch", "bad_validations", "validated")
        }
        self.counters["best_loss"] = tf.Variable(math.inf, trainable=False)
        # In float32 short steps would no longer count after some hours.
        self.counters["seconds"] = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        variables = [*self.model.variables, *self.optimizer.variables, *self.ema]
        self.checkpoints = Checkpoints(
            os.path.join(model_dir, "checkpoints"), variables, self.counters
        )
        training, chief = self.training, self.cluster.chief
        self.recorder = Recorder(model_dir, chief, self.scored, training.preview_bars)
        self.began_from = training.init_from
        if chief:
            begun = bool(self.checkpoints.paths())
            self.began_from = finetuning.begin(
                training.init_from, model_dir, begun, self.model, self.ema
            )

    def _describe(self, data_dir, info):
        """What config.json says of this run."""
        return {
            "model": self.model.config.to_dict(),
            "training": self.training.to_dict(),
            "data": {"id": info.id, "directory": os.path.basename(str(data_dir))},
            "provenance": provenance.describe(),
            "num_parameters": self.model.count_params(),
            "slices": self.slices,
        }

    # The run.

    def run(self, report=print, on_step=None):
        """Trains until an end is reached, from the newest checkpoint on.

        Args:
            report: called with one line of text per validation.
            on_step: called with (step, sums) after each optimizer step, or None.

        Returns:
            dict: `best_loss`, `step`, `reason` for which the run ended.

        Raises:
            Interrupted: If SIGTERM or SIGINT came, and everything is saved; or if
                another worker was lost.
            InputError: If the loss stopped being a number, the disk or the memory is
                full, or a record is damaged.
        """
        self.report, self.on_step = report, on_step
        self.stop_signal = None
        before = {s: signal.signal(s, self._note_signal) for s in STOP_SIGNALS}
        try:
            self._begin()
            reason = self._epochs()
        except LOST_WORKER as error:
            if self.cluster.num_workers == 1:
                raise
            raise Interrupted(
                f"Lost another worker at step {self._count('step')} "
                f"({type(error).__name__}); start all workers again."
            ) from error
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(
                f"Out of memory at step {self._count('step')}; give a smaller "
                f"batch_size, window_steps or model. ({str(error).splitlines()[0]})"
            ) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return {
            "best_loss": float(self.counters["best_loss"]),
            "step": self._count("step"),
            "reason": reason,
        }

    def _begin(self):
        """Puts the newest checkpoint, or the first weights, into all workers."""
        same = {k: self._settings[k] for k in ("model", "training", "data")}
        self.cluster.check_same(same)
        # What a run that goes on started from is its own, said again or not.
        self._settings["training"]["init_from"] = self.began_from
        restored = self.checkpoints.restore() if self.cluster.chief else None
        self.cluster.share(self.checkpoints.variables)
        if self.training.schedule == "constant" and not self.training.warmup_steps:
            # The checkpoint's rate would hide one that was given anew.
            self.optimizer.learning_rate = self.training.learning_rate
        self.recorder.begin(self._settings, self._count("step"))
        if self.damaged:
            self.report(
                f"Leaves {len(self.damaged)} damaged record(s) out: "
                f"{'; '.join(self.damaged[:5])}."
            )
        if restored:
            self.report(f"Goes on from step {self._count('step')} ({restored}).")
        self.saved_at = self.collected_at = time.monotonic()
        self.time_is_up = self._out_of_time()
        self.tally = Tally()

    def _epochs(self):
        reason = self._end()
        if reason:
            self._finish()
        while not reason:
            reason = self._epoch()
            if reason:
                self._finish()
                break
            self._collect()
            self._add("epoch", 1)
            self.counters["batch"].assign(0)
            reason = self._end()
            if reason or not self.training.validate_every:
                self._validate()
            self._save()
            reason = reason or self._end()
        return reason

    def _collect(self):
        """Frees the pipelines of past epochs, which are full of cycles."""
        if time.monotonic() - self.collected_at > SECONDS_BETWEEN_COLLECTIONS:
            gc.collect()
            self.collected_at = time.monotonic()

    def _finish(self):
        """Validates and saves at an end that does not fall on a validation."""
        if self._count("validated") != self._count("step"):
            self._validate()
            self._save()

    def _epoch(self):
        """Trains to the end of the epoch; returns a reason to stop earlier, or None."""
        epoch, skip = self._count("epoch"), self._count("batch")
        batches = dataset.training_batches(self.stream, epoch, skip)
        batches = self.strategy.experimental_distribute_dataset(batches)
        batches = dataset.naming_damage(batches, self.stream.paths)
        for batch in self.tally.waits(batches):
            self._take(batch)
            reason = self._after_step()
            if reason:
                return reason
        if not self._count("batch"):
            raise InputError("The training split has no piece that can be read.")
        return None

    def _after_step(self):
        """Validates and saves if it is time to; returns a reason to stop, or None."""
        stop, save, self.time_is_up = self.cluster.any(
            [bool(self.stop_signal), self._save_is_due(), self._out_of_time()]
        )
        every = self.training.validate_every
        if every and self._count("step") % every == 0:
            self._validate()
            save = True
        reason = self._end(within_epoch=True)
        if save or (stop and not reason):
            self._save()
        if stop and not reason:
            name = signal.Signals(self.stop_signal or signal.SIGTERM).name
            raise Interrupted(f"Stopped by {name} at step {self._count('step')}.")
        return reason

    def _take(self, batch):
        start, graphs = time.monotonic(), len(self.step.compiled)
        sums = {name: float(v) for name, v in self.step.run(batch).items()}
        seconds = time.monotonic() - start
        self._add("seconds", seconds)
        self._add("step", 1)
        self._add("batch", 1)
        if not math.isfinite(sums["loss"] + sums["gradient_norm"]):
            self._refuse_nan("loss", self._pieces_of_batch())
        self.tally.add(sums, seconds, len(self.step.compiled) > graphs)
        if self.on_step:
            self.on_step(self._count("step"), sums)

    def _refuse_nan(self, what, pieces):
        raise InputError(
            f"The {what} stopped being a number at step {self._count('step')}, on "
            f"{pieces}. Last good checkpoint: "
            f"{self.checkpoints.last_good or 'none yet'}. Try a lower learning_rate or "
            f"clip_norm=1."
        )

    def _pieces_of_batch(self):
        """The pieces of the batch just taken, and where its windows begin in them."""
        epoch, index = self._count("epoch"), self._count("batch") - 1
        ids = dataset.batch_ids(self.stream, epoch, index)
        return "the pieces " + ", ".join(
            f"{i[:12]} from step {start}" for i, start in ids
        )

    def _end(self, within_epoch=False):
        training = self.training
        if training.max_steps and self._count("step") >= training.max_steps:
            return f"max_steps={training.max_steps} reached"
        if self.time_is_up:
            return f"max_minutes={training.max_minutes:g} reached"
        if training.patience and self._count("bad_validations") >= training.patience:
            return f"no better validation in {training.patience}"
        if not within_epoch and self._count("epoch") >= training.epochs:
            return f"epochs={training.epochs} reached"
        return None

    def _out_of_time(self):
        seconds = float(self.counters["seconds"])
        return 0 < 60 * self.training.max_minutes <= seconds

    def _save_is_due(self):
        minutes = self.training.checkpoint_minutes
        return time.monotonic() - self.saved_at > 60 * minutes

    # Validation and what it leaves behind.

    def _validate(self):
        if self._count("validated") == self._count("step"):
            return
        self.counters["validated"].assign(self._count("step"))
        self._copy_weights()
        valid = metrics.summarize(self._valid_sums(), self.model.config)
        if not math.isfinite(valid["loss"]):
            self._refuse_nan("validation loss", "the validation split")
        best = valid["loss"] < float(self.counters["best_loss"])
        if best:
            self.counters["best_loss"].assign(valid["loss"])
            self.counters["bad_validations"].assign(0)
        else:
            self._add("bad_validations", 1)
        figures = self._figures(valid, best)
        self.recorder.validation(figures)
        left = max(self.total_steps - figures["step"], 0)
        self.report(progress_line(figures, left / figures["steps_per_second"]))
        self.tally.restart()

    def _copy_weights(self):
        """Puts the weights, or their moving averages, into the model that is scored."""
        sources = self.ema or [v.value for v in self.model.trainable_variables]
        # Early averages still remember the first weights; unlike Adam's moments they
        # started from them, not from zero, so there is nothing to correct.
        for target, source in zip(
            self.scored.trainable_variables, sources, strict=True
        ):
            target.assign(tf.convert_to_tensor(source))

    def _valid_sums(self):
        """Sums over the validation pieces, each scored by one of the workers."""
        limit = self.training.max_valid_pieces
        damaged = [] if self.training.skip_corrupt else None
        pieces = dataset.read_pieces(self.valid_paths, limit, damaged)
        own = itertools.islice(
            pieces, self.cluster.index, None, self.cluster.num_workers
        )
        sums = self.scorer.sums(own)
        if not sums:
            # Fewer pieces than workers; the names of the sums are needed all the same.
            first = dataset.read_pieces(self.valid_paths, 1, damaged)
            sums = dict.fromkeys(self.scorer.sums(first), 0.0)
        if not sums:
            raise InputError("The validation split has no piece that can be read.")
        for line in damaged or ():
            self.report(f"Left out of the validation: {line}.")
        return self.cluster.add(sums)

    def _figures(self, valid, best):
        return self.tally.figures(self.model.config) | {
            "step": self._count("step"),
            "epoch": self._count("epoch"),
            "valid": valid,
            "best": best,
            "training_seconds": float(self.counters["seconds"]),
            "learning_rate": float(tf.convert_to_tensor(self.optimizer.learning_rate)),
        }

    def _save(self):
        if self.cluster.chief:
            self.checkpoints.save(self._count("epoch"), self._count("step"))
        self.saved_at = time.monotonic()

    def _note_signal(self, number, _):
        if self.stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt  # whoever asks twice does not want to wait
        self.stop_signal = number
        logging.warning("%s: saves and stops.", signal.Signals(number).name)

    def _count(self, name):
        return int(self.counters[name].numpy())

    def _add(self, name, number):
        self.counters[name].assign_add(number)
