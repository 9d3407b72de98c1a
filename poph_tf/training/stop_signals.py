"""Signals that ask a run to stop."""

import signal
from types import FrameType

from absl import logging


class StopSignals:
    """Notes SIGTERM and SIGINT, in its context, so that a run saves before it ends.

    Whoever presses Ctrl-C again does not wait for the save.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> "StopSignals":
        numbers = (signal.SIGTERM, signal.SIGINT)
        self.former = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        logging.warning("%s: saves and stops.", self.received.name)
