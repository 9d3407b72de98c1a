"""Training: epochs over a data set, validations, checkpoints, best weights.

The loop is our own, not `Model.fit`: its loss is exact for any number of replicas and
workers, it clips after the sum over replicas, its checkpoints hold the place in the
data, and it can be killed and restarted at any moment.

A model directory holds `config.json` (all settings and provenance), `model.keras` (the
best weights by validation loss; the last ones if stopped before the first validation),
`checkpoints/`, `metrics.jsonl` and `tensorboard/`. In a run of several workers only the
first, the chief, reads and writes it.
"""

import contextlib
import dataclasses
import gc
import math
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from poph_tf import locks, models, provenance
from poph_tf.cli.signals import StopSignals
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.data import dataset, recovery
from poph_tf.data.integrity import DataWatch
from poph_tf.errors import InputError, Interrupted, TrainingFailed
from poph_tf.models import metrics
from poph_tf.training import counts, distribution, finetuning
from poph_tf.training.checkpoints import Checkpoints
from poph_tf.training.cluster import LOST_WORKER, Cluster
from poph_tf.training.run_log import RunLog, check_same_run, progress_line
from poph_tf.training.run_state import RunState
from poph_tf.training.running_metrics import RunningMetrics
from poph_tf.training.train_step import TrainStep
from poph_tf.training.validation import Validator

# From this many steps on, compiling a graph for each length of batches pays off.
STEPS_WORTH_GRAPHS = 500
# The loss has exploded if play costs this many times what coin tosses cost; in this
# many steps in a row, it is no accident.
EXPLODED, MOST_EXPLODED_STEPS = 5.0, 100
SECONDS_BETWEEN_COLLECTIONS = 10.0  # a collection may take longer than a tiny epoch
Report = Callable[[str], object]
OnStep = Callable[[int, Mapping[str, float]], object]


@dataclasses.dataclass(eq=False)
class Trainer:
    """One training run; nothing is written before `run`.

    Args:
        model_config: the model, with the styles of the data.
        training: the settings of the run.
        data_dir: folder of the data set.
        model_dir: folder of the run.
        strategy: tf.distribute.Strategy.
        slices: number of slices of a batch, from `models.slices.prepare`.
        force: take over `model_dir` from another run that is active there.

    Attributes:
        steps_per_epoch: approximate number of steps of an epoch.
        total_steps: approximate number of steps of the run, if nothing ends it earlier.

    Raises:
        InputError: If the data cannot be used, or `model_dir` holds another run.
    """

    model_config: ModelConfig
    training: TrainingConfig
    data_dir: str | pathlib.Path
    model_dir: str | pathlib.Path
    strategy: tf.distribute.Strategy
    slices: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        training, replicas = self.training, self.strategy.num_replicas_in_sync
        model_dir = pathlib.Path(self.model_dir)
        self.cluster = Cluster(self.strategy)
        distribution.check_batch(training.batch_size, replicas)
        self.info, paths = dataset.open_split(str(self.data_dir), "train")
        dataset.check_tracks(self.info, self.model_config)
        _, valid_paths = dataset.open_split(str(self.data_dir), "valid")
        self.data = DataWatch(self.info, self.data_dir, (*paths, *valid_paths))
        self.faults = self.data.check(skip_corrupt=training.skip_corrupt)
        if self.cluster.chief:
            check_same_run(model_dir, self.model_config, training, self.info.id)
        self.damaged = recovery.find(paths) if training.skip_corrupt else []
        self.stream = dataset.Stream(
            paths, self.model_config, training, bool(self.damaged)
        )
        split = self.info.splits["train"]
        self.steps_per_epoch = dataset.estimate_steps(split, training)
        steps = training.epochs * self.steps_per_epoch
        self.total_steps = min(steps, training.max_steps or steps)
        self.state = state = RunState(self.model_config, training, self.strategy)
        self.model, self.counters = state.model, state.counters
        any_length = self.total_steps < STEPS_WORTH_GRAPHS
        self.train_step = TrainStep(
            self.model, state.optimizer, self.strategy, training.clip_norm, self.slices,
            training.accumulation, any_length, state.averages, training.ema_decay,
        )  # fmt: skip
        self.validator = Validator(
            self.model_config, training, valid_paths, self.cluster, self.slices
        )
        folder = model_dir / "checkpoints"
        self.checkpoints = Checkpoints(folder, state.variables, vars(self.counters))
        self.log = RunLog(model_dir, self.validator.model, training.preview_bars)
        if self.cluster.chief:
            self._set_first_weights(paths)

    def _set_first_weights(self, paths: Sequence[str]) -> None:
        """Sets the state before the first step: initial weights, counted chords."""
        training, begun = self.training, bool(self.checkpoints.paths())
        folder, averages = self.log.model_dir, self.state.averages
        self.init_from = finetuning.begin(
            training.init_from, folder, begun, self.model, averages
        )
        if self.model_config.chords and not begun:
            shifts = range(training.min_transpose, training.max_transpose + 1)
            counts.count(self.model, paths, shifts)

    # The run, from top to bottom.

    def run(
        self, report: Report = print, on_step: OnStep = lambda step, sums: None
    ) -> dict[str, Any]:
        """Trains to the end of the run, from the newest checkpoint on.

        Args:
            report: called with one line of text for each validation.
            on_step: called with (step, sums) after each optimizer step.

        Returns:
            `best_loss`, `step`, and the `reason` why the run ended.

        Raises:
            Interrupted: If SIGTERM or SIGINT was received (all is saved), or another
                worker was lost.
            TrainingFailed: If the loss is no longer a number, or has exploded.
            InputError: If another run is active in the folder, the disk or the memory
                is full, a record is damaged, or the data set was replaced.
        """
        self.report, self.on_step = report, on_step
        with (
            StopSignals() as self.signals,
            self._explaining_errors(),
            self._locked() as self.lock,
        ):
            self._begin()
            reason = self._train()
        best_loss, step = float(self.counters.best_loss), int(self.counters.step)
        return {"best_loss": best_loss, "step": step, "reason": reason}

    def _locked(self) -> contextlib.AbstractContextManager[locks.FolderLock | None]:
        """Holds the model directory, which only the chief writes."""
        if not self.cluster.chief:
            return contextlib.nullcontext()
        return locks.held(self.model_dir, force=self.force)

    def _begin(self) -> None:
        """Gives all workers the newest checkpoint, or the initial weights."""
        settings: dict[str, Any] = {
            "model": self.model_config.to_dict(),
            "training": self.training.to_dict(),
            "data": {"id": self.info.id, "directory": pathlib.Path(self.data_dir).name},
        }
        self.cluster.check_same(settings)
        restored = self.checkpoints.restore() if self.cluster.chief else None
        self.cluster.share(self.checkpoints.variables)
        both = zip(self.model.counted, self.validator.model.counted, strict=True)
        for counted, other in both:
            other.set_weights(counted.get_weights())
        step = int(self.counters.step)
        if self.training.schedule == "constant" and not self.training.warmup_steps:
            # Otherwise the checkpoint's rate would replace a new one.
            self.state.optimizer.learning_rate = self.training.learning_rate
        if self.cluster.chief:
            settings["training"]["init_from"] = self.init_from
            settings["provenance"] = provenance.describe()
            settings["num_parameters"] = self.model.count_params()
            settings["slices"] = self.slices
            self.log.begin(settings, step)
        if self.damaged:
            records = "; ".join(self.damaged[:5])
            self.report(f"Skips {len(self.damaged)} damaged record(s): {records}.")
        for fault in self.faults:
            self.report(f"Continues with damaged data: {fault}.")
        if restored:
            self.report(f"Continues from step {step} ({restored}).")
        self.saved_at = self.collected_at = time.monotonic()
        self.time_is_up = self._is_out_of_time()
        self.metrics = RunningMetrics()
        self.metrics.restore(self.checkpoints.notes)
        self.exploded_steps = 0

    def _train(self) -> str:
        """Trains epoch by epoch; returns the reason for the end."""
        while not (reason := self._reason_to_end()):
            for batch in self._batches():
                self._step(batch)
                self._validate_and_save_if_due()
                if self._reason_to_end():
                    break
            else:
                self._end_epoch()
        if int(self.counters.validated) != int(self.counters.step):
            self._validate()
            self._save()
        return reason

    def _batches(self) -> Iterator[Mapping[str, tf.Tensor]]:
        """The rest of the epoch."""
        epoch, skip = int(self.counters.epoch), int(self.counters.batch)
        batches = dataset.training_batches(self.stream, epoch, skip)
        batches = self.strategy.experimental_distribute_dataset(batches)
        return self.metrics.timed(dataset.naming_damage(batches, self.stream.paths))

    def _step(self, batch: Mapping[str, tf.Tensor]) -> None:
        """Takes one optimizer step."""
        start, graphs = time.monotonic(), len(self.train_step.compiled)
        sums = {name: float(v) for name, v in self.train_step.run(batch).items()}
        seconds = time.monotonic() - start
        self.counters.seconds.assign_add(seconds)
        self.counters.step.assign_add(1)
        self.counters.batch.assign_add(1)
        if not math.isfinite(sums["loss"] + sums["gradient_norm"]):
            index = int(self.counters.batch) - 1
            ids = dataset.batch_ids(self.stream, int(self.counters.epoch), index)
            pieces = ", ".join(f"{piece[:12]} from step {step}" for piece, step in ids)
            raise self._failed("loss is not a number", f", on the pieces {pieces}")
        exploded = self._has_exploded(sums["play_nats"] / max(sums["steps"], 1.0))
        self.exploded_steps = self.exploded_steps + 1 if exploded else 0
        if self.exploded_steps >= MOST_EXPLODED_STEPS:
            raise self._failed(f"loss has exploded to {sums['loss']:,.0f} nats")
        self.metrics.add(sums, seconds, len(self.train_step.compiled) > graphs)
        self.on_step(int(self.counters.step), sums)

    def _validate_and_save_if_due(self) -> None:
        unsaved_minutes = (time.monotonic() - self.saved_at) / 60
        overdue = unsaved_minutes > self.training.checkpoint_minutes
        flags = [bool(self.signals.received), overdue, self._is_out_of_time()]
        stop, save, self.time_is_up = self.cluster.any(flags)
        every = self.training.validate_every
        if every and int(self.counters.step) % every == 0:
            self._validate()
            save = True
        stop = stop and not self._reason_to_end()
        if save or stop:
            self._save()
        if stop:
            name = (self.signals.received or signal.SIGTERM).name
            text = f"Stopped by {name} at step {int(self.counters.step)}."
            raise Interrupted(text + self._keep_unvalidated())

    def _keep_unvalidated(self) -> str:
        """Saves these weights if none were validated yet; returns a note about it."""
        if not self.cluster.chief or math.isfinite(float(self.counters.best_loss)):
            return ""
        self.validator.take(self.state.weights())
        self.log.weights()
        return f" {models.WEIGHTS_FILE} holds its weights, which were not validated."

    def _end_epoch(self) -> None:
        if not int(self.counters.batch):
            raise InputError("The training split has no piece that can be read.")
        self.counters.epoch.assign_add(1)
        self.counters.batch.assign(0)
        if self._reason_to_end() or not self.training.validate_every:
            self._validate()
        self._save()
        # Pipelines of past epochs hold many reference cycles.
        if time.monotonic() - self.collected_at > SECONDS_BETWEEN_COLLECTIONS:
            gc.collect()
            self.collected_at = time.monotonic()

    def _reason_to_end(self) -> str | None:
        training, counters = self.training, self.counters
        if training.max_steps and int(counters.step) >= training.max_steps:
            return f"max_steps={training.max_steps} reached"
        if self.time_is_up:
            return f"max_minutes={training.max_minutes:g} reached"
        if training.patience and int(counters.bad_validations) >= training.patience:
            return f"no better validation in {training.patience}"
        if int(counters.epoch) >= training.epochs:
            return f"epochs={training.epochs} reached"
        return None

    def _is_out_of_time(self) -> bool:
        return 0 < 60 * self.training.max_minutes <= float(self.counters.seconds)

    def _validate(self) -> None:
        """Scores and logs the weights of this step, unless already done."""
        counters = self.counters
        if int(counters.validated) == int(counters.step):
            return
        counters.validated.assign(counters.step)
        valid = self.validator.figures(self.state.weights(), self.report)
        if not math.isfinite(valid["loss"]):
            raise self._failed("validation loss is not a number")
        if self._has_exploded(valid["play_nats_per_step"]):
            loss = f"{valid['loss']:,.0f} nats per step"
            raise self._failed(f"validation loss has exploded to {loss}")
        best = valid["loss"] < float(counters.best_loss)
        counters.bad_validations.assign(0 if best else counters.bad_validations + 1)
        counters.best_loss.assign(valid["loss"] if best else counters.best_loss)
        rate = tf.convert_to_tensor(self.state.optimizer.learning_rate)
        figures = self.metrics.figures(self.model.config) | {
            "step": int(counters.step),
            "epoch": int(counters.epoch),
            "valid": valid,
            "best": best,
            "training_seconds": float(counters.seconds),
            "learning_rate": float(rate),
        }
        if self.cluster.chief:
            self.log.validation(figures)
        left = max(self.total_steps - figures["step"], 0)
        self.report(progress_line(figures, left / figures["steps_per_second"]))
        self.metrics.reset()

    def _has_exploded(self, play_nats: float) -> bool:
        return play_nats > EXPLODED * metrics.coin_nats(self.model_config)

    def _save(self) -> None:
        self.data.check_unchanged()
        if self.lock:
            self.lock.check()
            self.checkpoints.save(
                int(self.counters.epoch),
                int(self.counters.step),
                self.metrics.to_dict(),
            )
        self.saved_at = time.monotonic()

    # Errors.

    @contextlib.contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        """Explains what a user can do about errors of TensorFlow."""
        try:
            yield
        except LOST_WORKER as error:
            if self.cluster.num_workers == 1:
                raise
            raise Interrupted(
                f"Lost another worker at step {int(self.counters.step)} "
                f"({type(error).__name__}); start all workers again."
            ) from error
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(
                f"Out of memory at step {int(self.counters.step)}; give a smaller "
                f"batch_size, window_steps or model. ({str(error).splitlines()[0]})"
            ) from error

    def _failed(self, what: str, where: str = "") -> TrainingFailed:
        best = pathlib.Path(self.model_dir, models.WEIGHTS_FILE)
        return TrainingFailed(
            f"The {what} at step {int(self.counters.step)}{where}. Best weights: "
            f"{best if best.exists() else 'none yet'}. Last good checkpoint: "
            f"{self.checkpoints.last_good or 'none yet'}. Try a lower learning_rate or "
            f"clip_norm=1, in another --model_dir."
        )
