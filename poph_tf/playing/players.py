"""What the composer does in each step: answer or accompany.

A player is notified when a step begins, when its notes are settled (half a step later,
when the next note counts for the next step), and when a note comes in between.
"""

from collections.abc import Callable

import numpy as np

from poph_tf.config import LiveConfig
from poph_tf.errors import InputError
from poph_tf.generation.stepper import TO_CELLS, Stepper
from poph_tf.playing.heard import Heard
from poph_tf.playing.sounding import Bytes, Sounding

# An accompaniment stops after this many bars without a melody.
REST_BARS = 2


class Answering:
    """Plays some bars after each call, continuing from everything played so far.

    The network reads a call while it is played; the first step of the answer is drawn
    before its bar line, so that it comes in time.

    Args:
        new_stepper: starts a new piece.
        heard: what the person plays.
        sounding: what the composer plays.
        config: has the lengths of calls and answers.
        bar_steps: steps of a bar.
    """

    def __init__(
        self,
        new_stepper: Callable[[], Stepper],
        heard: Heard,
        sounding: Sounding,
        config: LiveConfig,
        bar_steps: int,
    ) -> None:
        self._new_stepper, self._heard, self._sounding = new_stepper, heard, sounding
        self._call_bars, self._bar_steps = config.call_bars, bar_steps
        self._turn_bars = config.call_bars + (config.answer_bars or config.call_bars)
        self.reset()

    def reset(self) -> None:
        """Forgets all that was played."""
        self._stepper = self._new_stepper()
        self._next: np.ndarray | None = None
        # Whether there is a call to answer.
        self._called = False

    def _is_answer(self, step: int) -> bool:
        return step // self._bar_steps % self._turn_bars >= self._call_bars

    def begin(self, step: int) -> list[Bytes]:
        """Plays what was drawn for the step."""
        if self._next is None or not self._is_answer(step):
            return self._sounding.silence()
        return self._sounding.show(self._next, range(len(self._next)))

    def on_note(self, step: int) -> list[Bytes]:
        """Does nothing: a call is read when its steps are settled."""
        del step
        return []

    def settle(self, step: int) -> None:
        """Reads a step of a call, and draws the next one of an answer."""
        if not self._is_answer(step):
            clamped = self._heard.clamped(step)
            self._called |= bool(clamped[..., 1].any())
            # Unplayed tracks are drawn: otherwise a melody would be answered by one
            # voice or none, as if the others had rested on purpose.
            imagined = ~np.isin(np.arange(len(clamped)), list(self._heard.played))
            clamped[imagined] = 0.0
            self._stepper.step(step % self._bar_steps, clamped)
        self._next = None
        if self._is_answer(step) and not self._is_answer(step + 1):
            self._called = False
            self._heard.played = {self._heard.single}
        elif self._is_answer(step + 1) and self._called:
            self._next = self._stepper.step((step + 1) % self._bar_steps)


class Accompanying:
    """Plays all tracks but one, together with the person who plays that one.

    A step is drawn when it begins, from the keys that are down by then. A note that
    comes a little later but still counts for the step changes what sounds. In the end,
    the network remembers what was played, not what it expected.

    Args:
        new_stepper: begins a piece.
        heard: what is played.
        sounding: what the composer plays.
        num_tracks: number of tracks of the model.
        bar_steps: steps of a bar.

    Raises:
        InputError: If the model has no other track.
    """

    def __init__(
        self,
        new_stepper: Callable[[], Stepper],
        heard: Heard,
        sounding: Sounding,
        num_tracks: int,
        bar_steps: int,
    ) -> None:
        if num_tracks < 2:
            raise InputError(
                "accompany needs a model with tracks, such as chorales; --mode=answer "
                "takes any."
            )
        self._new_stepper, self._heard, self._sounding = new_stepper, heard, sounding
        self._bar_steps = bar_steps
        self._given = np.arange(num_tracks) == heard.single
        self._others = np.flatnonzero(~self._given).tolist()
        self.reset()

    def reset(self) -> None:
        """Forgets all that was played."""
        self._stepper = self._new_stepper()
        self._told: np.ndarray | None = None
        self._frame = np.zeros(0, np.uint8)
        self._silent_steps = 0

    def begin(self, step: int) -> list[Bytes]:
        """Draws a step; an accompaniment starts with the melody's first note."""
        self._told, before = None, self._told
        clamped = self._heard.clamped(step)
        if before is None and not clamped[..., 1].any():
            return []
        self._silent_steps += 1
        if clamped[..., 1].any():
            self._silent_steps = 0
        if self._silent_steps >= REST_BARS * self._bar_steps:
            return self._sounding.silence()
        return self._draw(step, clamped)

    def on_note(self, step: int) -> list[Bytes]:
        """Draws the step again if it was drawn without the note."""
        clamped = self._heard.clamped(step)
        if self._told is not None:
            if np.array_equal(clamped, self._told):
                return []
            self._stepper.take_back()
        self._silent_steps = 0
        return self._draw(step, clamped)

    def settle(self, step: int) -> None:
        """Corrects what the network remembers of the step."""
        clamped = self._heard.clamped(step)
        if self._told is None or np.array_equal(clamped, self._told):
            return
        cells = self._frame[self._others] / TO_CELLS
        clamped[self._others, :, 1:] = cells
        self._stepper.correct(step % self._bar_steps, clamped, self._given)

    def _draw(self, step: int, clamped: np.ndarray) -> list[Bytes]:
        self._told = clamped
        free = clamped * self._given[:, None, None]
        self._frame = self._stepper.step(step % self._bar_steps, free.astype("f4"))
        return self._sounding.show(self._frame, self._others)


Player = Answering | Accompanying
