"""What the training steps between two validations add up to."""

import time

from poph_tf.models import metrics


class Tally:
    """Sums over the steps since the validation before, and how fast they came.

    The first step of each graph also compiles, which would make a short
    stretch look slow for ever: it is counted, but not timed.
    """

    def __init__(self):
        self.restart()

    def restart(self):
        self.sums, self.steps, self.untimed = {}, 0, 0
        self.working = self.waiting = 0.0
        self.since = time.monotonic()

    def waits(self, batches):
        """Hands batches on and adds up the seconds that each was waited for.

        Args:
            batches: iterable.

        Yields:
            Its elements.
        """
        start = time.monotonic()
        for batch in batches:
            self.waiting += time.monotonic() - start
            yield batch
            start = time.monotonic()

    def add(self, sums, seconds, compiled=False):
        """Adds a step.

        Args:
            sums: dict of name to float, of TrainStep.
            seconds: float. What the step took.
            compiled: bool. Whether it also compiled.
        """
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1
        if compiled:
            self.untimed += 1
            self.since += seconds
        else:
            self.working += seconds

    def figures(self, config):
        """What is recorded of them, validation included in the time.

        Args:
            config: ModelConfig.

        Returns:
            dict: `train` (figures of metrics.summarize and `gradient_norm`; empty
            without a step), `seconds`, `steps_per_second`, `input_wait_share` (of the
            time of batches and steps, what was waited for batches).
        """
        seconds = max(time.monotonic() - self.since, 1e-9)
        train = {}
        if self.steps and self.sums["steps"]:
            train = metrics.summarize(self.sums, config)
            train["gradient_norm"] = self.sums["gradient_norm"] / self.steps
        return {
            "train": train,
            "seconds": seconds,
            "steps_per_second": max(self.steps - self.untimed, 1) / seconds,
            "input_wait_share": self.waiting / max(self.waiting + self.working, 1e-9),
        }
