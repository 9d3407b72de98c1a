"""Metrics over the training steps between two validations."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from poph_tf.config import ModelConfig
from poph_tf.models import metrics


class RunningMetrics:
    """Sums over the steps since the last validation, and their speed.

    The first step of each graph also compiles, which would make a short stretch look
    slow: such a step is counted but not timed.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts a new stretch, after a validation."""
        self.sums: dict[str, float] = {}
        self.steps = self.untimed = 0
        self.working = self.waiting = 0.0
        self.since = time.monotonic()

    def to_dict(self) -> dict[str, Any]:
        """What to keep in a checkpoint, so that a stop leaves no trace in the log."""
        return {"sums": self.sums, "steps": self.steps}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continues from what `to_dict` returned; from zero if it is empty."""
        self.sums = dict(kept.get("sums", {}))
        self.steps = int(kept.get("steps", 0))
        # Their time was spent in another process.
        self.untimed = self.steps

    def timed(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Passes batches on and adds up the seconds spent waiting for them."""
        start = time.monotonic()
        for batch in batches:
            self.waiting += time.monotonic() - start
            yield batch
            start = time.monotonic()

    def add(
        self, sums: Mapping[str, float], seconds: float, compiled: bool = False
    ) -> None:
        """Adds a step.

        Args:
            sums: the sums of `TrainStep.run`.
            seconds: duration of the step.
            compiled: whether the step also compiled.
        """
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1
        if compiled:
            self.untimed += 1
            self.since += seconds
        else:
            self.working += seconds

    def figures(self, config: ModelConfig) -> dict[str, Any]:
        """Figures of the stretch, ready for JSON.

        Returns:
            `train` (`metrics.summarize` and `gradient_norm`; empty without a step),
            `seconds` and `steps_per_second` (the last validation included), and
            `input_wait_share`, the share of the time of batches and steps that was
            spent waiting for batches.
        """
        seconds = max(time.monotonic() - self.since, 1e-9)
        train: dict[str, Any] = {}
        if self.steps and self.sums["steps"]:
            train = metrics.summarize(self.sums, config)
            train["gradient_norm"] = self.sums["gradient_norm"] / self.steps
        return {
            "train": train,
            "seconds": seconds,
            "steps_per_second": max(self.steps - self.untimed, 1) / seconds,
            "input_wait_share": self.waiting / max(self.waiting + self.working, 1e-9),
        }
