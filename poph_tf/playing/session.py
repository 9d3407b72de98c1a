"""Live play as a state machine: times and messages in, messages out.

    session = Session(LiveConfig(), request, engine)
    session.start(seconds)              -> what to send
    session.receive(seconds, message)   -> what to send; messages are those of mido
    session.advance(seconds)            -> what to send; call it by session.wake()
    session.stop()                      -> what to send, so that no note hangs

What to send is a list of tuples of bytes. Nothing here waits or reads a clock.
"""

import dataclasses
import math
from typing import Any

from poph_tf.config import GenerationConfig, LiveConfig
from poph_tf.config.generation import AUTO_KEY
from poph_tf.data.matrices import STEPS_PER_QUARTER
from poph_tf.errors import InputError
from poph_tf.generation.light_engine import LightEngine
from poph_tf.generation.request import Request
from poph_tf.generation.stepper import Stepper
from poph_tf.playing.clocks import Clock, MidiClock, OwnClock
from poph_tf.playing.heard import Heard
from poph_tf.playing.players import Accompanying, Answering, Player
from poph_tf.playing.sounding import Bytes, Sounding

# Controllers that end all notes: all sound off, all notes off.
SILENCING = (120, 123)
# Tolerance for positions that are whole numbers except for rounding.
ROUNDING = 1e-6
# After a gap of more than this many bars (such as sleep mode), do not catch up.
MISSED_BARS = 2


def request_of(settings: GenerationConfig, engine: LightEngine) -> Request:
    """The request for live play: an endless piece, with one bar per chord.

    Raises:
        InputError: If a setting does not fit the model, or needs whole pieces.
    """
    if settings.kind != "compose" or settings.best_of > 1:
        raise InputError(
            "Live play takes no music, tracks, bars or candidates: it hears what is "
            "played."
        )
    values = settings.to_dict() | {
        "ending": False,
        "num_pieces": 1,
        "num_bars": max(len(settings.chords.split()), 1),
    }
    request = GenerationConfig.from_dict(values).resolve(engine.config)
    if settings.key in ("", AUTO_KEY):
        # The key is the player's choice, and unknown.
        controls = request.controls._replace(key=None)
        request = dataclasses.replace(request, controls=controls)
    return request


class Session:
    """A person and the composer playing together.

    Args:
        config: options of live play.
        request: see `request_of`.
        engine: draws the notes.

    Attributes:
        clock: the clock of the session.
        bar_steps: steps of a bar.

    Raises:
        InputError: If the model does not support the mode.
    """

    def __init__(
        self, config: LiveConfig, request: Request, engine: LightEngine
    ) -> None:
        self._config, model, task = config, engine.config, request.task
        self.bar_steps = task.bar_steps
        self._beat_steps = 4 * STEPS_PER_QUARTER // task.time_signatures[0][2]
        self.clock: Clock = MidiClock()
        if config.clock == "own":
            self.clock = OwnClock(task.tempo_qpm, STEPS_PER_QUARTER)
        answers = config.mode == "answer"
        legato = config.legato
        self._heard = Heard(model, config.part, spread=answers, legato=legato)
        self._sounding = Sounding(model, config)
        parts = (lambda: Stepper(engine, request), self._heard, self._sounding)
        self._player: Player
        if answers:
            self._player = Answering(*parts, config, self.bar_steps)
        else:
            self._player = Accompanying(*parts, len(model.tracks), self.bar_steps)
        # The last half step that was handled, since the start of the song.
        self._half = -1

    def start(self, seconds: float) -> list[Bytes]:
        """Starts: with a count-in, or when the other side starts its clock."""
        first = 0
        if self._config.clock == "own":
            first = -self._config.count_in * self.bar_steps
        self.clock.start(seconds, first)
        self._half = 2 * first - 1
        return [*self._sounding.programs(), *self.advance(seconds)]

    def wake(self) -> float | None:
        """When `advance` must be called if no message comes; None: never."""
        return self.clock.due((self._half + 1) / 2)

    def receive(self, seconds: float, message: Any) -> list[Bytes]:
        """Handles an input message."""
        if self.clock.receive(seconds, message):
            return self._jump(seconds, message.type)
        sent = self.advance(seconds)
        kind = message.type
        if kind == "note_on" and message.velocity > 0:
            return sent + self._press(seconds, message)
        if kind in ("note_on", "note_off") and self._listens(message):
            self._heard.release(message.note, self.clock.position(seconds))
        elif kind == "control_change" and message.control in SILENCING:
            self._heard.release_all(self.clock.position(seconds))
        return sent

    def advance(self, seconds: float) -> list[Bytes]:
        """Does everything that is due by now."""
        if self.clock.is_lost(seconds):
            self.clock.running = False
            return self._rest(seconds)
        if not self.clock.running:
            return []
        due = math.floor(2 * self.clock.position(seconds) + ROUNDING)
        sent: list[Bytes] = []
        if due - self._half > 2 * MISSED_BARS * self.bar_steps:
            sent = self._rest(seconds)
            self._half = due - 1
        while self._half < due:
            self._half += 1
            sent += self._half_step(*divmod(self._half, 2))
        return sent

    def stop(self) -> list[Bytes]:
        """Ends all notes."""
        return self._sounding.panic()

    def _half_step(self, step: int, is_late: int) -> list[Bytes]:
        if is_late:
            if step >= 0:
                self._player.settle(step)
            return self._sounding.end_click()
        sent = []
        if (step < 0 or self._config.click) and step % self._beat_steps == 0:
            sent = self._sounding.click(step % self.bar_steps == 0)
        return sent + self._player.begin(step) if step >= 0 else sent

    def _press(self, seconds: float, message: Any) -> list[Bytes]:
        if not self.clock.running or not self._listens(message):
            return []
        position = self.clock.position(seconds) + ROUNDING
        self._heard.press(message.note, message.velocity, position)
        step, is_late = divmod(self._half, 2)
        return [] if is_late or step < 0 else self._player.on_note(step)

    def _listens(self, message: Any) -> bool:
        return self._config.listen in (0, message.channel + 1)

    def _jump(self, seconds: float, kind: str) -> list[Bytes]:
        """Handles a clock that started, stopped or jumped."""
        sent = self._rest(seconds)
        if kind in ("start", "songpos"):
            self._player.reset()
            position = self.clock.position(seconds)
            self._half = math.floor(2 * position + ROUNDING)
        return sent

    def _rest(self, seconds: float) -> list[Bytes]:
        self._heard.release_all(self.clock.position(seconds))
        return self._sounding.panic()
