"""Draws pieces without TensorFlow, from a model converted to LiteRT.

`serving/litert.py` converts one whole step of the sampler to a flatbuffer with several
signatures:

    step       state, controls of a step, random numbers -> state, frame
    step_...   the same for more rows at a time, or with a shorter memory
    ahead      notes given in a step, state -> state, look-ahead (some models)

So the sampler's logic exists only once; the loop here moves states and numbers. Each
row is drawn in slices (`Slice`), slices of several rows at a time, on all cores: the
interpreter releases Python's global lock.
"""

import collections
import concurrent.futures
import dataclasses
import importlib.util
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from poph_tf import cores
from poph_tf.cli.quiet import held_back_stderr
from poph_tf.config import ModelConfig
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import constraints, host_randomness
from poph_tf.generation.base_engine import BaseEngine
from poph_tf.generation.controls import SILENCE_TEMPERATURE, Controls
from poph_tf.generation.light_step import STATE, Arrays, LightStep, split
from poph_tf.generation.request import OPTIONAL_CONTROLS, Request
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE

CHUNK_STEPS = 64
STREAM_STEPS = 16
# Values of controls that change nothing; the graph of a step has all controls.
NEUTRAL = {
    "replay_temperature": 0.0,
    "silence_temperature": SILENCE_TEMPERATURE,
    "density": 0.0,
    "min_probability": 0.0,
    "probability_exponent": 1.0,
    "top_p": 2.0,
    "key_strength": 0.0,
    "form_strength": 1.0,
    "chord_strength": 1.0,
    "pitch_bias": 0.0,
    "bars_left": -1,
    "key": -1,
    "returns": -1,
    "look_ahead": 0.0,
    "constraints": 0.0,
    "scored": 1.0,
}

# Cells uint8 [step, (track,) pitch, 3], and the state after the last step.
Drawn = tuple[np.ndarray, Arrays]
T = TypeVar("T")


def is_there(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a converted model that this Python can run."""
    whole = (pathlib.Path(folder) / LIGHT_FILE).exists()
    return whole and importlib.util.find_spec("ai_edge_litert") is not None


@dataclasses.dataclass(frozen=True, eq=False)
class Slice:
    """Steps of one row to draw.

    Attributes:
        engine: draws them.
        state: the state before the first of them.
        controls: of these steps, for all rows or for this one.
        row: index of the row.
        num_steps: number of steps.
        kept: False for known steps, which are run only to get the state after them.
    """

    engine: "LightEngine"
    state: Arrays
    controls: Controls
    row: int
    num_steps: int
    kept: bool = True


class LightEngine(BaseEngine[None, Sequence[Arrays]]):
    """Draws requests with a converted model.

    Args:
        folder: folder of the converted model and its settings.

    Raises:
        InputError: If they are missing or cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        folder = pathlib.Path(folder)
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
            self.config = ModelConfig.from_dict(settings["model"])
            content = (folder / LIGHT_FILE).read_bytes()
        # The last three come from JSON of another shape.
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder} holds no converted model: {error}.") from None
        with held_back_stderr():
            self._light = LightStep(content)
        self.batch_rows, self.zero_state = self._light.batch_rows, self._light.zeros

    def can(self, request: Request) -> bool:
        """Whether it can draw a request.

        Particles need TensorFlow, and so do controls that are newer than the converted
        model.
        """
        controls = request.controls
        asked = {n for n in OPTIONAL_CONTROLS if getattr(controls, n) is not None}
        return not request.num_particles and asked <= set(self._light.controls)

    def _finish(
        self,
        chunks: Sequence[tuple[np.ndarray, None]],
        state: Sequence[Arrays],
        request: Request,
    ) -> list[Matrices]:
        whole = np.concatenate([cells for cells, _ in chunks], axis=1)
        return self.assemble(whole, state, request)

    def assemble(
        self, cells: np.ndarray, states: Sequence[Arrays], request: Request
    ) -> list[Matrices]:
        """Turns the rows into pieces; chooses among candidates.

        Args:
            cells: uint8 [row, step, (track,) pitch, 3].
            states: the state of each row after its last step.
            request: the request they were drawn for.
        """
        likelihood = None
        if request.num_candidates > 1:
            name = f"{STATE}_log_likelihood"
            likelihood = np.concatenate([state[name] for state in states])
        return self._pieces(cells, likelihood, request)

    def _draw(
        self, request: Request, streamed: bool
    ) -> Iterator[tuple[np.ndarray, None, list[Arrays]]]:
        num_steps = STREAM_STEPS if streamed else CHUNK_STEPS
        ahead = last(self.look_ahead(request))
        edges = (*range(0, request.num_steps, num_steps), request.num_steps)
        rows = [self.row(request, row, ahead, edges) for row in range(request.num_rows)]
        slices = [next(row) for row in rows]
        workers = min(len(rows), cores.available())
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            while True:
                groups = grouped(slices, workers)
                drawn = list(itertools.chain(*pool.map(self.draw, groups)))
                if slices[0].kept:
                    cells, states = zip(*drawn, strict=True)
                    yield np.stack(cells), None, list(states)
                try:  # all rows have as many slices
                    slices = [
                        row.send(one) for row, one in zip(rows, drawn, strict=True)
                    ]
                except StopIteration:
                    return

    def row(
        self,
        request: Request,
        row: int,
        ahead: np.ndarray | None,
        edges: Sequence[int],
    ) -> Generator[Slice, Drawn, None]:
        """Goes through one row; the caller sends back what was drawn for each slice.

        Args:
            request: what to draw.
            row: index of the row in the request.
            ahead: the last value that `look_ahead` yielded.
            edges: the steps at which slices begin, and the number of steps.

        Yields:
            Slices of the known steps, then of the steps to draw.
        """
        state = yield from self._prefilled(request, row, ahead)
        done = len(request.task.prefill)
        for first, stop in itertools.pairwise(edges):
            steps = done + np.arange(first, stop)
            numbers = self.numbers(request.controls.seed[row], steps)
            controls = request.chunk(first, len(steps), ahead)
            controls = controls._replace(numbers=numbers[None])
            _, state = yield Slice(self, state, controls, row, len(steps))

    def draw(
        self,
        slices: Sequence[Slice],
        before_step: Callable[[], object] | None = None,
    ) -> list[Drawn]:
        """Draws slices of equal length together.

        Args:
            slices: one, or `batch_rows`.
            before_step: called before each step; may draw other slices.
        """
        rows = [slice_inputs(one, self._light.controls) for one in slices]
        inputs = {
            name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]
        }
        state = self._light.stacked([one.state for one in slices])
        frames = []
        for step in range(slices[0].num_steps):
            if before_step:
                before_step()
            controls = {name: values[step] for name, values in inputs.items()}
            frame, state = self._light.step(state, controls)
            frames.append(frame)
        cells = np.stack(frames, axis=1) * np.array([1.0, 1.0, 127.0], np.float32)
        states = split(state, len(slices))
        return list(zip(np.rint(cells).astype(np.uint8), states, strict=True))

    def numbers(self, seed: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The random numbers of steps of a piece, see `host_randomness.uniforms`."""
        config = self.config
        num_tracks = max(len(config.tracks), 1)
        return host_randomness.uniforms(seed, steps, num_tracks, config.num_pitches)

    def _prefilled(
        self, request: Request, row: int, ahead: np.ndarray | None
    ) -> Generator[Slice, Drawn, Arrays]:
        """Yields slices of the known steps, clamped; returns the state after them."""
        task, music, state = request.task, request.task.prefill, self.zero_state()
        if not len(music):
            return state
        known = np.arange(len(music))
        by_step = {
            "constraints": constraints.clamp_all(music.cells, self.config)[None],
            "bar_position": music.bar_position.astype(np.int32)[None],
            "numbers": self.numbers(np.zeros(2, np.int32), known)[None],
            "scored": np.zeros((1, len(music)), np.float32),
        }
        if task.bars_left is not None:
            by_step["bars_left"] = task.bars_left[None, known]
        if ahead is not None:
            by_step["look_ahead"] = ahead[None, known]
        controls = request.controls._replace(density=None, **by_step)
        for start in range(0, len(music), STREAM_STEPS):
            size = min(STREAM_STEPS, len(music) - start)
            part = controls.since(start)
            _, state = yield Slice(self, state, part, row, size, kept=False)
        if task.given is not None:
            state[f"{STATE}_given"] = task.given[None, len(music) - 1, :, 0, 0]
        return state

    def look_ahead(self, request: Request) -> Iterator[np.ndarray | None]:
        """Like that of `Engine`: yields float32 [whole step, features] at the end.

        Before that, yields None after each slice of work.
        """
        task = request.task
        if task.given is None or not self.config.look_ahead_units:
            return
        # If notes are given, `bars_left` is set, perhaps to unknown.
        left: Any = task.bars_left
        bars = task.whole_bar_position
        state, found = self._light.zeros("ahead"), []
        # The step before the first is silent and free.
        given = np.concatenate([np.zeros_like(task.given[:1]), task.given])
        given = given.astype(np.float32)
        for step in reversed(range(len(bars))):
            inputs = {
                "given": given[None, step : step + 2],
                "bar_position": bars[None, step : step + 1],
                "bars_left": left[None, step : step + 1],
            }
            if self.config.chords and (key := request.controls.key) is not None:
                inputs["key"] = key[:1]
            state = self._light.run("ahead", {**state, **inputs})
            found.append(state.pop("look_ahead")[0])
            if step % STREAM_STEPS == 0:
                yield np.stack(found[::-1]) if step == 0 else None


def last(items: Iterator[T]) -> T | None:
    """The last item; None if there is none."""
    return next(iter(collections.deque(items, maxlen=1)), None)


def grouped(slices: Sequence[Slice], num_workers: int) -> list[list[Slice]]:
    """Groups slices of one engine and length so that all workers are busy.

    A step takes one row or `batch_rows`; leftover slices go alone.
    """
    size, groups = slices[0].engine.batch_rows, []
    whole = len(slices) // size if len(slices) >= size * num_workers else 0
    for k in range(whole):
        groups.append([*slices[size * k : size * (k + 1)]])
    return groups + [[one] for one in slices[size * whole :]]


def slice_inputs(
    part: Slice, shapes: Mapping[str, tuple[tuple[int, ...], Any]]
) -> Arrays:
    """The controls of a slice, [step, ...], neutral if they are None.

    Args:
        part: the slice; a control with a single row is that of its row.
        shapes: shape and type of each control of a step.
    """
    found, by_step = {}, part.controls.by_step()
    for name, (shape, dtype) in shapes.items():
        value = getattr(part.controls, name)
        if value is None:
            value = NEUTRAL[name]
        value = np.asarray(value, dtype)
        if value.ndim:
            value = value[part.row if len(value) > 1 else 0]
        if name in by_step:
            value = value[: part.num_steps]
        found[name] = np.broadcast_to(value, (part.num_steps, *shape))
    return found
