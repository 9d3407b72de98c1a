"""Progress of long work on a terminal; silent where nobody watches."""

import sys
import time


class StepLine:
    """A live line of training steps, rewritten in place on a terminal.

    Args:
        steps_per_epoch: int, about.
        total_steps: int. Steps of the whole run at most; 0 if not known.
    """

    def __init__(self, steps_per_epoch, total_steps=0):
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.live = sys.stdout.isatty()
        self.since, self.first = time.monotonic(), None

    def step(self, step, sums):
        """Shows one optimizer step; `sums` are those of metrics.step_sums."""
        if not self.live:
            return
        if self.first is None:
            self.first, self.since = step - 1, time.monotonic()
        rate = (step - self.first) / max(time.monotonic() - self.since, 1e-9)
        nats = sums["play_nats"] / max(sums["steps"], 1.0)
        place = (step - 1) % self.steps_per_epoch + 1
        text = f"  step {step} ({place}/{self.steps_per_epoch} of an epoch)"
        text += f"  {nats:.3f} nats/step  {rate:.2f} steps/s"
        if self.total_steps:
            left = max(self.total_steps - step, 0) / max(rate, 1e-9)
            text += f"  {duration(left)} left"
        print(f"\r{text}   ", end="")
        sys.stdout.flush()

    def print(self, text):
        """Prints a line that stays."""
        print(("\r" if self.live else "") + text, flush=True)


def duration(seconds):
    """Seconds as people say them: "50 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Bar:
    """A bar of work whose size is known, on stderr.

    Args:
        total: int.
        unit: str, such as "steps".
    """

    WIDTH = 30

    def __init__(self, total, unit):
        self.total, self.unit = max(total, 1), unit
        self.live = sys.stderr.isatty()
        self.since = time.monotonic()

    def update(self, done):
        """Shows `done` of `total`, the rate and the time left."""
        if not self.live:
            return
        done = min(done, self.total)
        seconds = max(time.monotonic() - self.since, 1e-9)
        left = seconds / max(done, 1) * (self.total - done)
        full = self.WIDTH * done // self.total
        bar = "#" * full + "." * (self.WIDTH - full)
        text = f"[{bar}] {done}/{self.total} {self.unit}"
        text += f"  {done / seconds:.1f}/s  {left:.0f} s left  "
        end = "\n" if done == self.total else ""
        print(f"\r{text}", end=end, file=sys.stderr, flush=True)
