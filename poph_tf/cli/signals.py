"""SIGTERM and Ctrl-C end every command alike: a sentence and exit code 75.

What a signal interrupts raises `Stopped` at once, unless work in progress notes signals
itself and saves first (`StopSignals`). See docs/reference/signals.md.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from absl import logging

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """A signal that asks to stop came; its name is the message."""


def _raise(number: int, _: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


def stoppable() -> contextlib.AbstractContextManager[None]:
    """Lets the signals raise `Stopped` in a block."""
    return handled_by(_raise)


def killable() -> contextlib.AbstractContextManager[None]:
    """Lets the signals end the process at once in a block that has nothing to save.

    For waits inside a library, in which Python handles no signal.
    """
    return handled_by(signal.SIG_DFL)


@contextlib.contextmanager
def handled_by(handler: Callable[[int, Any], object] | int) -> Iterator[None]:
    """Gives the signals a handler in a block; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, handler) for number in STOPPING}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


class StopSignals(contextlib.ExitStack):
    """Notes the signals, in its context, so that a run saves before it ends.

    Whoever presses Ctrl-C again does not wait for the save.

    Attributes:
        received: the signal that came, or None.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> "StopSignals":
        self.enter_context(handled_by(self._note))
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise Stopped(signal.Signals(number).name)
        self.received = signal.Signals(number)
        logging.warning("%s: saves and stops.", self.received.name)
