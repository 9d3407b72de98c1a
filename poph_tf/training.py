"""Training: epochs over a data set, validations, checkpoints, best weights.

The loop is our own, not `Model.fit`: its loss is exact for any number of replicas, it
clips after the sum over replicas, its checkpoints hold the place in the data, and it
can be killed at any moment and started again.

A model directory holds `config.json` (all settings and provenance), `model.keras` (the
best weights by validation loss), `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
"""

import json
import math
import os
import signal
import time

import keras
import tensorflow as tf
from absl import logging

from poph_tf import dataset, likelihood, metrics, models, optimizers, provenance
from poph_tf.checkpoints import Checkpoints
from poph_tf.config import ModelConfig
from poph_tf.errors import InputError, Interrupted
from poph_tf.event_log import EventLog
from poph_tf.stepping import TrainStep


class Trainer:
    """One training run.

    Args:
        model_config: ModelConfig, with the styles of the data.
        training: TrainingConfig.
        data_dir: str.
        model_dir: str.
        strategy: tf.distribute.Strategy.
    """

    def __init__(self, model_config, training, data_dir, model_dir, strategy):
        self.training = training
        self.model_dir = model_dir
        self.strategy = strategy
        _check_batch(training.batch_size, strategy.num_replicas_in_sync)
        info, paths = dataset.open_split(data_dir, "train")
        _, self.valid_paths = dataset.open_split(data_dir, "valid")
        self.stream = dataset.Stream(paths, model_config, training)
        self.steps_per_epoch = _estimate_steps(info.splits["train"], training)
        keras.utils.set_random_seed(training.seed)
        if training.deterministic:
            tf.config.experimental.enable_op_determinism()
        self._make_model(model_config)
        self._write_settings(model_config, data_dir, info)
        self.events = EventLog(os.path.join(model_dir, "tensorboard"))

    def _make_model(self, model_config):
        training = self.training
        keras.mixed_precision.set_dtype_policy(training.precision)
        with self.strategy.scope():
            self.model = models.build(model_config)
            self.optimizer = optimizers.make(training)
            self.optimizer.build(self.model.trainable_variables)
            self.ema = []
            if training.ema_decay:
                self.ema = [
                    tf.Variable(v.value) for v in self.model.trainable_variables
                ]
        # Outside the scope: plain variables, which every strategy can read.
        self.counters = {
            "step": tf.Variable(0, dtype=tf.int64, trainable=False),
            "epoch": tf.Variable(0, dtype=tf.int64, trainable=False),
            "batch": tf.Variable(0, dtype=tf.int64, trainable=False),
            "bad_validations": tf.Variable(0, dtype=tf.int64, trainable=False),
            "best_loss": tf.Variable(math.inf, trainable=False),
            "seconds": tf.Variable(0.0, trainable=False),
        }
        keras.mixed_precision.set_dtype_policy("float32")
        self.step = TrainStep(
            self.model,
            self.optimizer,
            self.strategy,
            training.clip_norm,
            self.ema,
            training.ema_decay,
        )
        variables = [*self.model.variables, *self.optimizer.variables, *self.ema]
        self.checkpoints = Checkpoints(
            os.path.join(self.model_dir, "checkpoints"), variables, self.counters
        )
        # Scoring runs one copy of the weights, in float32, outside the strategy.
        self.scored = models.build(model_config)
        self.scorer = likelihood.Scorer(self.scored, training.batch_size)

    def _write_settings(self, model_config, data_dir, info):
        os.makedirs(self.model_dir, exist_ok=True)
        settings = {
            "model": model_config.to_dict(),
            "training": self.training.to_dict(),
            "data": {"id": info.id, "directory": os.path.basename(str(data_dir))},
            "provenance": provenance.describe(),
            "num_parameters": self.model.count_params(),
        }
        provenance.write_json(
            os.path.join(self.model_dir, models.SETTINGS_FILE), settings
        )

    # The run.

    def run(self, report=print, on_step=None):
        """Trains until an end is reached, from the newest checkpoint on.

        Args:
            report: called with one line of text per validation.
            on_step: called with (step, sums) after each optimizer step, or None.

        Returns:
            dict: `best_loss`, `step`, `reason` for which the run ended.

        Raises:
            Interrupted: If SIGTERM came; everything is saved.
            InputError: If the loss stopped being a number.
        """
        self.report, self.on_step = report, on_step
        restored = self.checkpoints.restore()
        if restored:
            report(f"Goes on from step {self._count('step')} ({restored}).")
        self.stop_signal = False
        before = signal.signal(signal.SIGTERM, self._note_signal)
        try:
            reason = self._epochs()
        finally:
            signal.signal(signal.SIGTERM, before)
        return {
            "best_loss": float(self.counters["best_loss"]),
            "step": self._count("step"),
            "reason": reason,
        }

    def _epochs(self):
        self.validated_at = None
        self._restart_tally()
        reason = self._end()
        while not reason:
            reason = self._epoch()
            if reason:
                break
            self._add("epoch", 1)
            self.counters["batch"].assign(0)
            if not self.training.validate_every:
                self._validate()
            self._save()
            reason = self._end()
        return reason

    def _epoch(self):
        """Trains to the end of the epoch; returns a reason to stop earlier, or None."""
        epoch, skip = self._count("epoch"), self._count("batch")
        batches = dataset.training_batches(self.stream, epoch, skip)
        for batch in self.strategy.experimental_distribute_dataset(batches):
            self._take(batch)
            every = self.training.validate_every
            if every and self._count("step") % every == 0:
                self._validate()
                self._save()
            elif (
                time.monotonic() - self.saved_at > 60 * self.training.checkpoint_minutes
            ):
                self._save()
            if self.stop_signal:
                self._save()
                raise Interrupted(f"Stopped by SIGTERM at step {self._count('step')}.")
            reason = self._end(within_epoch=True)
            if reason:
                if self.validated_at != self._count("step"):
                    self._validate()
                self._save()
                return reason
        return None

    def _take(self, batch):
        start = time.monotonic()
        sums = {name: float(v) for name, v in self.step.run(batch).items()}
        self._add("seconds", time.monotonic() - start)
        self._add("step", 1)
        self._add("batch", 1)
        if not math.isfinite(sums["loss"]):
            self._refuse_nan()
        for name, value in sums.items():
            self.tally[name] = self.tally.get(name, 0.0) + value
        self.tally["batches"] = self.tally.get("batches", 0) + 1
        if self.on_step:
            self.on_step(self._count("step"), sums)

    def _refuse_nan(self):
        epoch, index = self._count("epoch"), self._count("batch") - 1
        ids = dataset.batch_ids(self.stream, epoch, index)
        named = ", ".join(f"{i[:12]} from step {start}" for i, start in ids)
        last = self.checkpoints.manager.latest_checkpoint
        raise InputError(
            f"The loss stopped being a number at step {self._count('step')}, on the "
            f"pieces {named}. Last good checkpoint: {last}. Try a lower learning_rate "
            f"or clip_norm=1."
        )

    def _end(self, within_epoch=False):
        training = self.training
        if training.max_steps and self._count("step") >= training.max_steps:
            return f"max_steps={training.max_steps} reached"
        if 0 < 60 * training.max_minutes <= float(self.counters["seconds"]):
            return f"max_minutes={training.max_minutes:g} reached"
        if training.patience and self._count("bad_validations") >= training.patience:
            return f"no better validation in {training.patience}"
        if not within_epoch and self._count("epoch") >= training.epochs:
            return f"epochs={training.epochs} reached"
        return None

    # Validation and what it leaves behind.

    def _validate(self):
        self._copy_weights()
        self.validated_at = self._count("step")
        limit = self.training.max_valid_pieces
        pieces = dataset.read_pieces(self.valid_paths, limit)
        sums = self.scorer.sums(pieces)
        valid = metrics.summarize(sums, self.model.config)
        best = valid["loss"] < float(self.counters["best_loss"])
        if best:
            self.counters["best_loss"].assign(valid["loss"])
            self.counters["bad_validations"].assign(0)
            models.save(self.scored, self.model_dir)
        else:
            self._add("bad_validations", 1)
        self._record(valid, best)
        self._restart_tally()

    def _copy_weights(self):
        """Puts the weights, or their moving averages, into the model that is scored."""
        sources = self.ema or [v.value for v in self.model.trainable_variables]
        # Early averages still remember the first weights; unlike Adam's moments they
        # started from them, not from zero, so there is nothing to correct.
        for target, source in zip(
            self.scored.trainable_variables, sources, strict=True
        ):
            target.assign(tf.convert_to_tensor(source))

    def _record(self, valid, best):
        seconds = time.monotonic() - self.tally_since
        batches = max(self.tally.get("batches", 0), 1)
        figures = {
            "step": self._count("step"),
            "epoch": self._count("epoch"),
            "train": self._train_figures(),
            "valid": valid,
            "best": best,
            "steps_per_second": batches / seconds,
            "seconds": seconds,
            "learning_rate": float(tf.convert_to_tensor(self.optimizer.learning_rate)),
        }
        path = os.path.join(self.model_dir, "metrics.jsonl")
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures, sort_keys=True) + "\n")
        scalars = {f"train/{k}": v for k, v in figures["train"].items()}
        scalars |= {f"valid/{k}": v for k, v in valid.items()}
        scalars["learning_rate"] = figures["learning_rate"]
        self.events.scalars(scalars, figures["step"])
        self.report(_progress_line(figures, self._seconds_left(seconds / batches)))

    def _train_figures(self):
        if not self.tally.get("steps"):
            return {}
        figures = metrics.summarize(self.tally, self.model.config)
        return figures | {
            "gradient_norm": self.tally["gradient_norm"] / self.tally["batches"]
        }

    def _seconds_left(self, seconds_per_step):
        training = self.training
        total = training.epochs * self.steps_per_epoch
        total = min(total, training.max_steps) if training.max_steps else total
        return max(total - self._count("step"), 0) * seconds_per_step

    def _restart_tally(self):
        self.tally, self.tally_since = {}, time.monotonic()
        self.saved_at = getattr(self, "saved_at", time.monotonic())

    def _save(self):
        self.checkpoints.save(self._count("step"))
        self.saved_at = time.monotonic()

    def _note_signal(self, *_):
        self.stop_signal = True
        logging.warning("SIGTERM: finishes the step, saves and stops.")

    def _count(self, name):
        return int(self.counters[name].numpy())

    def _add(self, name, number):
        self.counters[name].assign_add(number)


def _check_batch(batch_size, replicas):
    if batch_size % replicas:
        raise InputError(
            f"batch_size is the global batch and must divide among the replicas, got "
            f"{batch_size} for {replicas}."
        )


def _estimate_steps(split, training):
    """Steps of an epoch, about: a piece fills half of its last window on average."""
    windows = split.num_steps / training.window_steps + split.num_pieces / 2
    return max(round(windows / training.batch_size), 1)


def _progress_line(figures, seconds_left):
    train, valid = figures["train"], figures["valid"]
    parts = [f"epoch {figures['epoch']:3d}  step {figures['step']:6d}"]
    if train:
        parts.append(f"train {train['play_nats_per_step']:7.3f}")
    parts.append(f"valid {valid['play_nats_per_step']:7.3f} nats/step")
    parts.append(f"F1 {valid['play_f1']:.3f}")
    parts.append(f"{figures['steps_per_second']:.2f} steps/s")
    parts.append(f"{seconds_left / 60:.0f} min left at most")
    return "  ".join(parts) + ("  best" if figures["best"] else "")


def check_same_run(model_dir, model_config):
    """Raises InputError if the directory holds a run of another model."""
    if not os.path.exists(os.path.join(model_dir, models.SETTINGS_FILE)):
        return
    there = ModelConfig.from_dict(models.read_settings(model_dir)["model"]).to_dict()
    wanted = model_config.to_dict()
    other = [name for name in wanted if wanted[name] != there[name]]
    if other:
        raise InputError(
            f"{model_dir} holds a run with {_pairs(there, other)}, asked for are "
            f"{_pairs(wanted, other)}; give the same settings, or another --model_dir."
        )


def _pairs(values, names):
    return ", ".join(f"{name}={values[name]}" for name in names)
