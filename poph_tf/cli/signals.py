"""SIGTERM and Ctrl-C end every command alike: one sentence and exit code 75.

Interrupted code raises `Stopped` at once, unless it notes the signals itself and saves
first (`StopSignals`). See docs/reference/signals.md.
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
    """A signal asked the command to stop; its name is the message."""


def _raise(number: int, _: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


def stoppable() -> contextlib.AbstractContextManager[None]:
    """Makes the signals raise `Stopped` in a block."""
    return handled_by(_raise)


def killable() -> contextlib.AbstractContextManager[None]:
    """Makes the signals end the process at once, in a block with nothing to save.

    For waits inside a library, during which Python handles no signals.
    """
    return handled_by(signal.SIG_DFL)


@contextlib.contextmanager
def handled_by(handler: Callable[[int, Any], object] | int) -> Iterator[None]:
    """Sets a handler for the signals in a block; only works in the main thread."""
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
    """Notes the signals within its context, so that a run saves before it ends.

    A second Ctrl-C stops at once, without the save.

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
        logging.warning("%s: saving and stopping.", self.received.name)
