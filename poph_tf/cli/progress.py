"""Progress of long work on a terminal; a line now and then where output is a file."""

import sys
import time

SECONDS_BETWEEN_LINES = 60.0  # where nobody sees a line change


class StepLine:
    """A live line of training steps, rewritten in place on a terminal.

    Elsewhere (a log, a container) it is printed once in `SECONDS_BETWEEN_LINES`.

    Args:
        steps_per_epoch: int, about.
        total_steps: int. Steps of the whole run at most; 0 if not known.
    """

    def __init__(self, steps_per_epoch, total_steps=0):
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = total_steps
        self.live = sys.stdout.isatty()
        self.since, self.first = time.monotonic(), None
        self.said = self.since

    def step(self, step, sums):
        """Shows one optimizer step; `sums` are those of metrics.step_sums."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.since = step - 1, now
        if not self.live and now - self.said < SECONDS_BETWEEN_LINES:
            return
        self.said = now
        print(*self._shown(step, sums, now), flush=True, sep="", end="")

    def _shown(self, step, sums, now):
        """What to print of one step: what comes before the text, the text, its end."""
        rate = (step - self.first) / max(now - self.since, 1e-9)
        nats = sums["play_nats"] / max(sums["steps"], 1.0)
        place = (step - 1) % self.steps_per_epoch + 1
        text = f"  step {step} ({place}/{self.steps_per_epoch} of an epoch)"
        text += f"  {nats:.3f} nats/step  {rate:.2f} steps/s"
        if self.total_steps:
            left = max(self.total_steps - step, 0) / max(rate, 1e-9)
            text += f"  {duration(left)} left"
        return ("\r", text, "   ") if self.live else ("", text, "\n")

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
