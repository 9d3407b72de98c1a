"""Measures the composer's latency with a simulated player.

The player plays eighth notes, and a final note on the last step of each call. The
lateness of an event is the time from its grid position to its arrival at the other end
of the cable.
"""

import contextlib
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from poph_tf.config import LiveConfig
from poph_tf.errors import InputError
from poph_tf.generation.stepper import Stepper
from poph_tf.playing import ports
from poph_tf.playing.clocks import OwnClock
from poph_tf.playing.session import Session
from poph_tf.playing.sounding import DRUM_CHANNEL

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
VELOCITY = 80
# Steps that each note is held.
HELD = 0.8
TIMED_STEPS = 32

Arrivals = list[tuple[float, Any]]


def measure(
    session: Session, config: LiveConfig, rounds: int, *, virtual: bool
) -> dict[str, Any]:
    """Plays calls to a session in real time and measures when the answers come.

    Args:
        session: a session in mode `answer`, with its own clock and a count-in.
        config: configuration of the session.
        rounds: number of calls to play.
        virtual: whether to use virtual MIDI ports instead of a queue in memory.

    Returns:
        Milliseconds by name, ready for JSON.

    Raises:
        InputError: If the session is of another kind, no answer came, or there are no
            MIDI ports.
    """
    clock = session.clock
    if (
        config.mode != "answer"
        or not isinstance(clock, OwnClock)
        or not config.count_in
    ):
        raise InputError(
            "Measuring latency needs --mode=answer, --clock=own and a count-in."
        )
    call = config.call_bars * session.bar_steps
    turn = call + (config.answer_bars or config.call_bars) * session.bar_steps
    arrivals: Arrivals = []
    # The time of the last note of each call.
    ends: list[float] = []
    with _cable(arrivals, virtual) as (source, target, send):
        player = threading.Thread(
            target=_play, args=(clock, send, call, turn, rounds, ends), daemon=True
        )
        player.start()
        ports.play(session, source, target, until=lambda: clock.due(turn * rounds))
        player.join()
    return _summary(clock, arrivals, ends) | {"rounds": rounds, "virtual": virtual}


@contextlib.contextmanager
def _cable(
    arrivals: Arrivals, virtual: bool
) -> Iterator[tuple[Any, Any, Callable[[Any], object]]]:
    """Yields the session's input and output, and a function that sends to its input."""

    def note(message: Any) -> None:
        arrivals.append((time.perf_counter(), message))

    if not virtual:
        source = ports.Loopback()
        yield source, ports.Loopback(note), source.send
        source.close()
        return
    with ports.opened("", "", virtual=True) as (source, target, _):
        mido = ports.load_mido()
        inputs, outputs = ports.names()
        there = ports.found(ports.VIRTUAL_NAME, outputs, "--output")
        back = ports.found(ports.VIRTUAL_NAME, inputs, "--input")
        with mido.open_output(there) as sender, mido.open_input(back, callback=note):
            yield source, target, sender.send


def _play(
    clock: OwnClock,
    send: Callable[[Any], object],
    call: int,
    turn: int,
    rounds: int,
    ends: list[float],
) -> None:
    message = ports.load_mido(backend=False).Message
    starts = [*range(0, call - 2, 2), call - 1]
    while math.isinf(clock.due(0)):
        time.sleep(0.001)
    for first in range(0, turn * rounds, turn):
        for k, start in enumerate(starts):
            pitch = SCALE[k % len(SCALE)]
            _wait(clock.due(first + start))
            if start == starts[-1]:
                ends.append(time.perf_counter())
            send(message("note_on", note=pitch, velocity=VELOCITY))
            _wait(clock.due(first + start + HELD))
            send(message("note_off", note=pitch))


def _wait(until: float) -> None:
    time.sleep(max(until - time.perf_counter(), 0.0))


def _summary(
    clock: OwnClock, arrivals: Arrivals, ends: Sequence[float]
) -> dict[str, Any]:
    step_ms = 1000 * clock.step_seconds
    notes = [
        (at, message)
        for at, message in arrivals
        if message.type in ("note_on", "note_off") and message.channel != DRUM_CHANNEL
    ]
    late = [clock.position(at) % 1 * step_ms for at, _ in notes]
    onsets = [at for at, message in notes if message.type == "note_on"]
    after = ([at - end for at in onsets if at > end] for end in ends)
    waits = [min(later) for later in after if later]
    if not waits:
        raise InputError("No answer came: choose another --seed.")
    return {
        "step_ms": step_ms,
        "last_note_to_answer_ms": _spread([1000 * wait for wait in waits]),
        "late_ms": _spread(late),
        "jitter_ms": round(statistics.pstdev(late), 3),
        "events": len(late),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 3),
        "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 3),
        "max": round(ordered[-1], 3),
    }


def drawing_ms(stepper: Stepper, bar_steps: int) -> float:
    """The median time to draw a step."""
    times = []
    for step in range(TIMED_STEPS):
        begun = time.perf_counter()
        stepper.step(step % bar_steps)
        times.append(1000 * (time.perf_counter() - begun))
    return round(statistics.median(times), 3)
