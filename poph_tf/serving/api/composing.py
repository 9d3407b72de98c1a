"""The models that the API serves, and drawing a request's pieces in slices."""

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import numpy as np

from poph_tf.config import ModelConfig
from poph_tf.config.generation import Task
from poph_tf.data import cells as cells_lib
from poph_tf.data.matrices import STEPS_PER_QUARTER, Matrices
from poph_tf.generation.light_engine import STREAM_STEPS, Drawn, LightEngine
from poph_tf.generation.request import Request
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE
from poph_tf.serving.api import scores
from poph_tf.serving.api.scheduler import Job, Part, Scheduler

TASKS = tuple(task for task in get_args(Task) if task)
# Tasks for models without tracks: the others need particles, hence TensorFlow.
TASKS_WITHOUT_TRACKS = ("compose", "continue")

Event = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model that composes.

    Attributes:
        name: its name.
        id: identifies the weights and settings.
        folder: the model's folder.
        engine: draws the notes.
    """

    name: str
    id: str
    folder: pathlib.Path
    engine: LightEngine

    @classmethod
    def load(cls, folder: pathlib.Path) -> "ServedModel":
        """Loads a converted model."""
        digest = hashlib.sha256()
        for file in (LIGHT_FILE, SETTINGS_FILE):
            digest.update((folder / file).read_bytes())
        name = folder.resolve().name
        return cls(name, digest.hexdigest()[:16], folder, LightEngine(folder))

    @property
    def config(self) -> ModelConfig:
        """The configuration of the model."""
        return self.engine.config

    def about(self, default: bool) -> dict[str, Any]:
        """The model's description for clients."""
        config = self.config
        return {
            "name": self.name,
            "id": self.id,
            "default": default,
            "tracks": [
                {"name": t.name, "program": t.program, "voice": t.voice}
                for t in config.tracks
            ],
            "styles": list(config.styles),
            "form": config.form,
            "tasks": list(TASKS if config.tracks else TASKS_WITHOUT_TRACKS),
            "min_pitch": config.min_pitch,
            "max_pitch": config.max_pitch,
            "steps_per_quarter": STEPS_PER_QUARTER,
            "steps_per_bar": config.bar_positions,
        }


class Composition:
    """Draws a request: one or more candidates, each a piece.

    Args:
        model: the model that draws.
        requests: one for each candidate; only their seeds differ.
        on_bar: called in the drawing thread with each bar, unless each piece is the
            best of several.
    """

    def __init__(
        self,
        model: ServedModel,
        requests: Sequence[Request],
        on_bar: Callable[[Event], object] | None = None,
    ) -> None:
        self.model, self.requests, self.on_bar = model, requests, on_bar
        self._rows = [
            (candidate, row)
            for candidate, request in enumerate(requests)
            for row in range(request.num_rows)
        ]
        self._cells: dict[tuple[int, int], list[np.ndarray]] = {}
        self._states: dict[tuple[int, int], Any] = {}

    @property
    def num_steps(self) -> int:
        """Total number of steps, as a measure of the work."""
        task = self.requests[0].task
        known = len(task.given) if task.given is not None else len(task.prefill)
        return (task.num_steps + known) * len(self._rows)

    async def run(self, scheduler: Scheduler, client: str) -> list[Matrices]:
        """Draws all pieces; stops drawing if it is cancelled.

        Args:
            scheduler: runs the drawing.
            client: the client of the request.
        """
        size = len(self._rows)
        await done(scheduler, client, self._prepare, size, self.num_steps)
        return await asyncio.to_thread(self._assemble)

    def _prepare(self, job: Job) -> Part:
        """Runs the look-ahead, which all rows share; then adds a part for each row."""
        ahead = None
        for found in self.model.engine.look_ahead(self.requests[0]):
            ahead = found
            yield None
        first, *others = (self._row(*row, ahead) for row in self._rows)
        job.parts.extend(others)
        yield from first

    def _row(self, candidate: int, row: int, ahead: np.ndarray | None) -> Part:
        """Draws a row and reports each bar."""
        request = self.requests[candidate]
        drawn = self._cells.setdefault((candidate, row), [])
        start, edges = 0, _edges(request)
        slices = self.model.engine.row(request, row, ahead, edges)
        found: Drawn | None = None
        with contextlib.suppress(StopIteration):
            while True:
                # The first value sent to a generator must be None.
                wanted = slices.send(found)  # type: ignore[arg-type]
                found = yield wanted
                cells, self._states[candidate, row] = found
                if wanted.kept:
                    drawn.append(cells)
                    if self.on_bar and request.num_rows == 1:
                        before = drawn[-2] if start else None
                        self.on_bar(self._bar(candidate, start, cells, before))
                    start += len(cells)

    def _bar(
        self, candidate: int, start: int, cells: np.ndarray, before: np.ndarray | None
    ) -> Event:
        """The event of a bar."""
        task = self.requests[candidate].task
        lines = task.prefill.bar_position if task.keep_prefill else np.zeros(0)
        places = np.concatenate([lines, task.bar_position[: start + 1]])
        first = len(lines) + start
        cells = cells[: max(task.num_kept - start, 0)]
        return {
            "candidate": candidate,
            "bar": int((places[1:] == 0).sum()),
            "start": first,
            "num_steps": len(cells),
            "notes": list(_notes(cells, before, first, self.model.config.min_pitch)),
        }

    def _assemble(self) -> list[Matrices]:
        pieces = []
        for candidate, request in enumerate(self.requests):
            rows = [(candidate, row) for row in range(request.num_rows)]
            cells = np.stack([np.concatenate(self._cells[row]) for row in rows])
            states = [self._states[row] for row in rows]
            pieces += self.model.engine.assemble(cells, states, request)
        return pieces


async def done(
    scheduler: Scheduler,
    client: str,
    part: Callable[[Job], Part],
    size: int = 1,
    num_steps: int = 0,
) -> None:
    """Runs a job of one part, which may add others; ends the job if cancelled.

    Args:
        scheduler: runs the job.
        client: the client it belongs to.
        part: makes the part.
        size: number of pieces that the job holds in memory.
        num_steps: steps of all its pieces.
    """
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_exception(error) if error else ended.set_result(None)

    def end(error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the server is gone
            loop.call_soon_threadsafe(tell, error)

    job = Job(client, (), end, size, num_steps)
    job.parts.append(part(job))
    scheduler.submit(job)
    try:
        await ended
    finally:
        scheduler.end(job)


def _edges(request: Request) -> list[int]:
    """The steps at which slices of a request begin (bar lines), and its end."""
    lines = np.flatnonzero(request.task.bar_position == 0).tolist()
    edges = sorted({0, *lines, request.num_steps})
    # Very long bars are split, so that other requests need not wait for them.
    parts = [range(a, b, 2 * STREAM_STEPS) for a, b in itertools.pairwise(edges)]
    return [*(step for part in parts for step in part), request.num_steps]


def _notes(
    cells: np.ndarray, before: np.ndarray | None, start: int, low: int
) -> Iterator[Event]:
    """The notes of a slice; those held over from the previous slice are tied.

    Args:
        cells: uint8 [step, (track,) pitch, 3].
        before: cells of the previous slice, if there is one.
        start: step of the first cells.
        low: MIDI pitch of the first cells.
    """
    if cells.ndim == 3:
        cells, before = cells[:, None], None if before is None else before[:, None]
    right = cells_lib.canonical(cells)
    for track in range(cells.shape[1]):
        for note in scores.notes_of(right[:, track], track, start, low):
            place = track, note["pitch"] - low
            held = before is not None and before[(-1, *place, 0)]
            tied = note["start"] == start and held and not cells[(0, *place, 1)]
            yield note | ({"tied": True} if tied else {})
