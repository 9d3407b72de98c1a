"""Worker processes for input that could make a process hang, grow or crash.

They parse music files, and render pictures, scores and sound.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import math
import multiprocessing
import warnings
from collections.abc import Callable
from typing import Any

import pebble

from poph_tf.errors import InputError

READ_SECONDS, RENDER_SECONDS, SCORE_SECONDS = 20, 60, 110
MEMORY_BYTES, SCORER_BYTES = 2 * 2**30, 32 * 2**30
# A worker is replaced after this many tasks, so that nothing accumulates.
MAX_TASKS = 200


class Workers:
    """A few processes with limits on time and memory.

    Args:
        num_workers: number of processes; they start with the first task.
        memory_bytes: limit for each; TensorFlow reserves more address space than it
            uses.
    """

    def __init__(self, num_workers: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self._pool = pebble.ProcessPool(
            num_workers,
            max_tasks=MAX_TASKS,
            initializer=_limit_memory,
            initargs=(memory_bytes,),
            context=multiprocessing.get_context("spawn"),
        )

    async def run(
        self, seconds: float, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        """Runs a function in a worker.

        Raises:
            InputError: If the function raises it, takes too long or too much memory,
                or crashes the process.
        """
        future = self._pool.schedule(function, arguments, timeout=seconds)
        try:
            return await asyncio.wrap_future(future)
        except (concurrent.futures.TimeoutError, TimeoutError):
            raise InputError(f"The music took longer than {seconds} s.") from None
        except (pebble.ProcessExpired, MemoryError):
            raise InputError("The music took too much memory.") from None

    def close(self) -> None:
        """Ends the processes."""
        self._pool.stop()
        self._pool.join()


def _limit_memory(num_bytes: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))


def read(content: bytes, name: str) -> Any:
    """Reads a music file as Notes.

    Raises:
        MusicFileError: If it cannot be read.
    """
    from poph_tf.data import reading

    pieces = reading.parse(content, name or "music")
    if len(pieces) != 1:
        raise InputError(f"{name} must hold one tune, holds {len(pieces)}.")
    (piece,) = pieces.values()
    return reading.to_notes(piece)


def render(notes: Any, suffix: str, view: dict[str, Any]) -> bytes:
    """Renders notes as a file; the suffix gives its kind, `view` the drawing options.

    Raises:
        InputError: If there is no music, or a required package is not installed.
    """
    from poph_tf.data import matrices
    from poph_tf.rendering import saving

    piece = notes
    if not isinstance(piece, matrices.Matrices):
        piece = matrices.from_notes(notes)
    if not len(piece):  # no bar to write a rest in
        raise InputError("The music must have notes, or num_steps, to become a file.")
    made = saving.RENDERERS[suffix](piece, view)
    return made.encode() if isinstance(made, str) else made


def score(folder: str, notes: Any, style: str) -> dict[str, Any]:
    """The nats of notes and steps, as `Composer.score` returns them, ready for JSON.

    Raises:
        InputError: If the music does not fit the model, or TensorFlow is missing.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        try:
            found = _composer(folder).score(notes, style)
        except ModuleNotFoundError as error:
            raise InputError(f"Scoring needs {error.name} on the server.") from None
    scored = [
        {
            "track": track,
            "pitch": int(pitch),
            "start": int(start),
            "duration": int(end - start),
            "nats": None if math.isnan(nats) else float(nats),
        }
        for track, rows in enumerate(found.notes)
        for start, end, pitch, nats in rows
    ]
    changes = [str(each.message) for each in told if each.category is UserWarning]
    steps = [float(each) for each in found.nats_per_step]
    return {"notes": scored, "nats_per_step": steps, "changes": changes}


@functools.cache
def _composer(folder: str) -> Any:
    import poph_tf

    return poph_tf.load(folder)
