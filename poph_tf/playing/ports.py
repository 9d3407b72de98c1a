"""MIDI ports, and the loop that plays a session through a pair of them.

A port is a port of mido: an object with `receive()`, which waits, `send(message)` and
`close()`. Real ports need mido and python-rtmidi (extra `live`).
"""

import contextlib
import importlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from poph_tf.cli.quiet import held_back_stderr
from poph_tf.errors import InputError
from poph_tf.playing.session import Session
from poph_tf.playing.sounding import Bytes

VIRTUAL_NAME = "poph_tf"
# How often to check that the ports still exist.
CHECK_SECONDS = 1.0
# Times and messages; the message None means that a port is gone.
_Arrived: TypeAlias = "queue.SimpleQueue[tuple[float, Any]]"


def load_mido(*, backend: bool = True) -> Any:
    """Imports mido, with the backend for real ports unless it is not needed.

    Raises:
        InputError: If it or the backend is not installed.
    """
    try:
        mido = importlib.import_module("mido")
        if backend:
            importlib.import_module("rtmidi")
    except ModuleNotFoundError as error:
        package = {"rtmidi": "python-rtmidi"}.get(error.name or "", error.name)
        raise InputError(
            f"Live play needs {package}: pip install 'poph_tf[live]'."
        ) from None
    return mido


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Turns port errors into one line and hides messages that the libraries print."""
    problem = None
    with held_back_stderr():
        try:
            yield
        except InputError:
            raise
        # ALSA, JACK and CoreMIDI raise errors of many types.
        except Exception as error:
            problem = error
    if problem:
        raise InputError(f"No MIDI ports are available here: {problem}") from None


def names() -> tuple[list[str], list[str]]:
    """The names of this machine's input and output ports.

    Raises:
        InputError: If the machine has no MIDI system.
    """
    mido = load_mido()
    with _plainly():
        return mido.get_input_names(), mido.get_output_names()


def listing() -> str:
    """The list of ports, as the command prints it."""
    lines = []
    for kind, ports in zip(("Inputs", "Outputs"), names(), strict=True):
        lines += [f"{kind}:", *(f"  {name}" for name in ports or ["none"])]
    return "\n".join(lines)


def found(name: str, known: list[str], flag: str) -> str:
    """The port with this name, or the only one whose name contains it."""
    if name in known:
        return name
    found = [port for port in known if name.casefold() in port.casefold()]
    if len(found) == 1:
        return found[0]
    problem = f"matches {len(found)} ports" if found else "matches no port"
    raise InputError(
        f"{flag}={name} {problem}; there are: {', '.join(known) or 'none'}."
    )


@contextlib.contextmanager
def opened(
    input_name: str, output_name: str, virtual: bool
) -> Iterator[tuple[Any, Any, Callable[[], bool]]]:
    """Opens the ports.

    Args:
        input_name: name of the input port, or a part of it.
        output_name: name of the output port, likewise.
        virtual: whether to create ports that other programs connect to instead.

    Yields:
        Input, output, and a function that returns whether both still exist.

    Raises:
        InputError: If there are no such ports.
    """
    mido = load_mido()
    if not virtual:
        inputs, outputs = names()
        input_name = found(input_name, inputs, "--input")
        output_name = found(output_name, outputs, "--output")
    with _plainly():
        if virtual:
            input_name = output_name = VIRTUAL_NAME
        source = mido.open_input(input_name, virtual=virtual)
        target = mido.open_output(output_name, virtual=virtual)

    def still_there() -> bool:
        if virtual:
            return True
        inputs, outputs = names()
        return input_name in inputs and output_name in outputs

    with source, target:
        yield source, target, still_there


def play(
    session: Session,
    source: Any,
    target: Any,
    still_there: Callable[[], bool] | None = None,
    until: Callable[[], float] = lambda: math.inf,
) -> None:
    """Plays until it is interrupted; all notes are ended in any case.

    Times are those of `time.perf_counter`.

    Args:
        session: the session to play.
        source: input port.
        target: output port.
        still_there: returns whether the ports still exist; see `opened`.
        until: returns the time at which playing ends by itself.

    Raises:
        InputError: If a port is gone.
    """
    arrived: _Arrived = queue.SimpleQueue()
    ended = threading.Event()
    _start_thread(_listen, source, arrived)
    if still_there:
        _start_thread(_watch, still_there, ended, arrived)
    try:
        _send(target, session.start(time.perf_counter()))
        while time.perf_counter() < until():
            _send(target, _next(session, arrived, until()))
    finally:
        ended.set()
        # The port itself may have failed.
        with contextlib.suppress(Exception):
            _send(target, session.stop())


def _start_thread(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _listen(source: Any, arrived: _Arrived) -> None:
    """Forwards messages, and None when the port is closed."""
    # Reading a closed port raises an error that depends on the backend.
    with contextlib.suppress(Exception):
        while (message := source.receive()) is not None:
            arrived.put((time.perf_counter(), message))
    arrived.put((time.perf_counter(), None))


def _watch(
    still_there: Callable[[], bool], ended: threading.Event, arrived: _Arrived
) -> None:
    """Puts None in the queue when the ports are gone."""
    there = True
    while there and not ended.wait(CHECK_SECONDS):
        there = False
        with contextlib.suppress(InputError):
            there = still_there()
    if not there:
        arrived.put((time.perf_counter(), None))


def _next(session: Session, arrived: _Arrived, until: float) -> list[Bytes]:
    """Waits for a message or the next due time; returns what to send."""
    wake = session.wake()
    at = min(until, math.inf if wake is None else wake)
    wait = None if math.isinf(at) else max(at - time.perf_counter(), 0.0)
    try:
        at, message = arrived.get(timeout=wait)
    except queue.Empty:
        return session.advance(time.perf_counter())
    if message is None:
        raise InputError("A MIDI port is gone; all notes were ended.")
    return session.receive(at, message)


def _send(target: Any, sent: list[Bytes]) -> None:
    if not sent:
        return
    message = load_mido(backend=False).Message
    try:
        for data in sent:
            target.send(message.from_bytes(data))
    except Exception as error:
        raise InputError(f"The output port is gone: {error}") from None


class Loopback:
    """A cable in memory with both ends in one: sent messages can be received.

    Attributes:
        on_send: called with each message, in the thread that sends it.
    """

    def __init__(self, on_send: Callable[[Any], object] | None = None) -> None:
        self.on_send = on_send
        self._sent: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send(self, message: Any) -> None:
        """Sends a message."""
        if self.on_send:
            self.on_send(message)
        else:
            self._sent.put(message)

    def receive(self) -> Any:
        """Waits for the next message; None after `close`."""
        return self._sent.get()

    def close(self) -> None:
        """Ends the stream of messages."""
        self._sent.put(None)
