"""Maps time to song positions: by our own tempo, or by MIDI clock.

MIDI clock sends 24 messages per quarter note, so six per step; a song position counts
sixteenths, which are the steps. After a start, continue or song position message, the
next clock message marks that position.

Source: MIDI 1.0 Detailed Specification, System Real Time Messages.
"""

import math
from typing import Any

CLOCKS_PER_STEP = 6
# At the slowest tempo (5 quarters per minute), a clock sends one every 0.5 seconds.
LOST_SECONDS = 1.0


class OwnClock:
    """A steady tempo.

    Args:
        tempo_qpm: quarter notes per minute.
        steps_per_quarter: steps in a quarter note.

    Example:
        >>> clock = OwnClock(120.0, steps_per_quarter=4)
        >>> clock.start(10.0, step=-16)
        >>> clock.position(12.5), clock.due(8)
        (4.0, 13.0)
    """

    running = True

    def __init__(self, tempo_qpm: float, steps_per_quarter: int) -> None:
        self.step_seconds = 60.0 / tempo_qpm / steps_per_quarter
        self._zero = math.inf

    def start(self, seconds: float, step: int) -> None:
        """Starts at a step."""
        self._zero = seconds - step * self.step_seconds

    def receive(self, seconds: float, message: Any) -> bool:
        """Ignores all messages: the tempo is fixed."""
        del seconds, message
        return False

    def position(self, seconds: float) -> float:
        """The step at a time."""
        return (seconds - self._zero) / self.step_seconds

    def due(self, step: float) -> float:
        """The time of a step."""
        return self._zero + step * self.step_seconds

    def is_lost(self, seconds: float) -> bool:
        """Never."""
        del seconds
        return False


class MidiClock:
    """The MIDI clock of another program or device.

    Attributes:
        running: whether it has been started and not stopped.
    """

    def __init__(self) -> None:
        self.running = False
        # Clock messages since the start of the song, including the last one.
        self._clocks = -1
        self._last_seconds = 0.0
        self._clock_seconds = math.inf

    def start(self, seconds: float, step: int) -> None:
        """Starts the session; the other side decides at which step."""
        del step
        self._last_seconds = seconds

    def receive(self, seconds: float, message: Any) -> bool:
        """Handles a message; returns whether the position or `running` jumped.

        Ignores messages that are not about the clock.
        """
        kind = message.type
        if kind == "clock" and self.running:
            if self._clocks >= 0:
                self._clock_seconds = seconds - self._last_seconds
            self._clocks += 1
            self._last_seconds = seconds
            return False
        if kind in ("start", "songpos"):
            self._clocks = getattr(message, "pos", 0) * CLOCKS_PER_STEP - 1
        if kind in ("start", "continue"):
            self.running, self._last_seconds = True, seconds
        if kind == "stop":
            self.running = False
        return kind in ("start", "continue", "stop", "songpos")

    def position(self, seconds: float) -> float:
        """The step at a time; interpolated with the interval of the last messages."""
        since = (seconds - self._last_seconds) / max(self._clock_seconds, 1e-6)
        # Stay below the next message, which may be late.
        clocks = self._clocks + min(max(since, 0.0), 0.99)
        return clocks / CLOCKS_PER_STEP

    def due(self, step: float) -> float | None:
        """When the clock will count as lost; steps come with messages."""
        del step
        return self._last_seconds + LOST_SECONDS if self.running else None

    def is_lost(self, seconds: float) -> bool:
        """Whether a running clock has sent nothing for too long."""
        return self.running and seconds >= self._last_seconds + LOST_SECONDS


Clock = OwnClock | MidiClock
