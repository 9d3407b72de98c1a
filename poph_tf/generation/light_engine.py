"""Draws pieces without TensorFlow, from a model that was converted to LiteRT.

`serving/litert.py` converts one step of the sampler, drawing and all, to a flatbuffer
of two signatures:

    step    state, controls of a step, random numbers -> state, frame
    ahead   notes given in a step, state -> state, what lies ahead (some models)

So the sampler's logic stands once; the loop here moves states and numbers. Each piece
is drawn by itself, on a thread of its own: the interpreter releases Python's lock.

Signatures name the parts of the state `state...`; all are zero before the first step.
"""

import collections
import concurrent.futures
import importlib.util
import itertools
import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from poph_tf import cores
from poph_tf.cli.quiet import held_back_stderr
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import candidates, host_randomness
from poph_tf.generation.controls import SILENCE_TEMPERATURE, Controls
from poph_tf.generation.request import Request
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE

CHUNK_STEPS = 64
STREAM_STEPS = 16
STATE = "state"
# Values of controls that change nothing; the step's graph has all of them.
NEUTRAL = {
    "replay_temperature": 0.0,
    "silence_temperature": SILENCE_TEMPERATURE,
    "density": 0.0,
    "min_probability": 0.0,
    "probability_exponent": 1.0,
    "top_p": 2.0,
    "key_strength": 0.0,
    "pitch_bias": 0.0,
    "bars_left": -1,
    "look_ahead": 0.0,
    "constraints": 0.0,
    "scored": 1.0,
}

Progress = Callable[[int], object]
Arrays = dict[str, np.ndarray]
T = TypeVar("T")


def is_there(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a converted model, and this Python can run it."""
    whole = (pathlib.Path(folder) / LIGHT_FILE).exists()
    return whole and importlib.util.find_spec("ai_edge_litert") is not None


class LightEngine:
    """Draws requests with a converted model.

    Args:
        folder: holds the converted model and its settings.

    Raises:
        InputError: If it does not, or they cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        folder = pathlib.Path(folder)
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
            self.config = ModelConfig.from_dict(settings["model"])
            self._content = (folder / LIGHT_FILE).read_bytes()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{folder} holds no converted model: {error}.") from None
        self._of_thread = threading.local()
        # The first step of a process prints on standard error what runs it.
        with held_back_stderr():
            runner = self._runner("step")
            runner(**_zeros(runner, ""))

    @staticmethod
    def can(request: Request) -> bool:
        """Whether it can draw a request: particles need TensorFlow."""
        return not request.num_particles

    def compose(
        self, config: GenerationConfig, progress: Progress | None = None
    ) -> list[Matrices]:
        """Resolves settings and draws the pieces; see `generate`."""
        return self.generate(config.resolve(self.config), progress)

    def generate(
        self, request: Request, progress: Progress | None = None
    ) -> list[Matrices]:
        """Draws whole pieces; arguments and result as of `Engine.generate`."""
        chunks, drawn = [], 0
        for cells, row_states in self._draw(request, CHUNK_STEPS):
            chunks.append(cells)
            states = row_states
            drawn += cells.shape[1]
            if progress:
                progress(drawn)
        return self.assemble(np.concatenate(chunks, axis=1), states, request)

    def assemble(
        self, cells: np.ndarray, states: Sequence[Arrays], request: Request
    ) -> list[Matrices]:
        """Makes pieces of all rows; chooses among candidates.

        Args:
            cells: uint8 [row, step, (track,) pitch, 3].
            states: of each row, after its last step.
            request: what they were drawn for.
        """
        task = request.task
        if request.num_candidates > 1:
            name = f"{STATE}_log_likelihood"
            likelihood = np.concatenate([state[name] for state in states])
            kept, low = cells[:, : task.num_kept], self.config.min_pitch
            cells = cells[candidates.best(kept, likelihood, request, low)]
        return [task.assemble(steps, self.config.min_pitch) for steps in cells]

    def stream(self, request: Request) -> Iterator[np.ndarray]:
        """Yields the new steps as they are drawn; as `Engine.stream`."""
        if request.rows_per_piece > 1:
            raise InputError("Streaming requires best_of=1 and no particles.")
        left = request.task.num_kept
        for cells, _ in self._draw(request, STREAM_STEPS):
            yield cells[:, :left]
            left = max(left - cells.shape[1], 0)

    def _draw(
        self, request: Request, num_steps: int
    ) -> Iterator[tuple[np.ndarray, list[Arrays]]]:
        """Yields cells uint8 [row, step, (track,) pitch, 3], and the rows' states."""
        ahead = last(self.look_ahead(request))
        edges = (*range(0, request.num_steps, num_steps), request.num_steps)
        rows = [self.row(request, row, ahead, edges) for row in range(request.num_rows)]
        workers = min(len(rows), cores.available())
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            while all(found := list(pool.map(lambda row: next(row, None), rows))):
                cells, states = zip(*found, strict=True)
                if cells[0].size:
                    yield np.stack(cells), list(states)

    def row(
        self,
        request: Request,
        row: int,
        ahead: np.ndarray | None,
        edges: Sequence[int],
    ) -> Iterator[tuple[np.ndarray, Arrays]]:
        """Draws one row in slices, each of which may run in another thread.

        Args:
            request: what to draw.
            row: which of its rows.
            ahead: the last that `look_ahead` gave.
            edges: the steps at which slices begin, and the number of steps.

        Yields:
            cells uint8 [step, (track,) pitch, 3] and the state after them; first, of
            no steps, for each slice of the known steps before the first drawn one.
        """
        state = self.zero_state()
        done = len(request.task.prefill)
        for known in self._prefilled(state, request, row, ahead):
            state = known
            yield np.zeros(0, np.uint8), state
        for first, stop in itertools.pairwise(edges):
            steps = done + np.arange(first, stop)
            numbers = self.numbers(request.controls.seed[row], steps)
            controls = request.chunk(first, len(steps), ahead)
            controls = controls._replace(numbers=numbers[None])
            cells, state = self._draw_steps(state, row, controls, len(steps))
            yield cells, state

    def _draw_steps(
        self, state: Arrays, row: int, controls: Controls, num_steps: int
    ) -> tuple[np.ndarray, Arrays]:
        """Draws steps of one row: their cells, and the state after them."""
        frames = []
        for step in range(num_steps):
            frame, state = self.step(state, step_inputs(controls, row, step))
            frames.append(frame)
        cells = np.stack(frames) * np.array([1.0, 1.0, 127.0], np.float32)
        return np.rint(cells).astype(np.uint8), state

    def zero_state(self) -> Arrays:
        """The state before the first step of a piece."""
        return _zeros(self._runner("step"))

    def numbers(self, seed: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The random numbers of steps of a piece, see `host_randomness.uniforms`."""
        config = self.config
        num_tracks = max(len(config.tracks), 1)
        return host_randomness.uniforms(seed, steps, num_tracks, config.num_pitches)

    def step(
        self, state: Arrays, controls: dict[str, Any]
    ) -> tuple[np.ndarray, Arrays]:
        """One step of one piece: its frame [(track,) pitch, 3] and the state after."""
        out = self._runner("step")(
            **_known(self._runner("step"), {**state, **controls})
        )
        frame = out.pop("frame")
        return frame[0], out

    def _prefilled(
        self, state: Arrays, request: Request, row: int, ahead: np.ndarray | None
    ) -> Iterator[Arrays]:
        """Yields the state of a row after each slice of the known steps.

        They are drawn as given.
        """
        task, music = request.task, request.task.prefill
        if not len(music):
            return
        low = self.config.min_pitch
        cells = music.cells[..., low : low + self.config.num_pitches, :]
        frames = cells / np.array([1, 1, 127], np.float32)
        shape = (*frames.shape[:-1], 1)
        onsets = frames[..., 1:2]
        clamped = [np.ones(shape, np.float32), frames[..., :1], onsets, frames[..., 2:]]
        steps = np.arange(len(music))
        by_step = {
            "constraints": np.concatenate(clamped, axis=-1)[None],
            "bar_position": music.bar_position.astype(np.int32)[None],
            "numbers": self.numbers(np.zeros(2, np.int32), steps)[None],
            "scored": np.zeros((1, len(music)), np.float32),
        }
        if task.bars_left is not None:
            by_step["bars_left"] = task.bars_left[None, steps]
        if ahead is not None:
            by_step["look_ahead"] = ahead[None, steps]
        controls = request.controls._replace(density=None, **by_step)
        for step in range(len(music)):
            if step and step % STREAM_STEPS == 0:
                yield state
            _, state = self.step(state, step_inputs(controls, row, step))
        if task.given is not None:
            state[f"{STATE}_given"] = task.given[None, len(music) - 1, :, 0, 0]
        yield state

    def look_ahead(self, request: Request) -> Iterator[np.ndarray | None]:
        """As that of `Engine`: float32 [whole step, pitch, features], at the end.

        Yields None after each slice of work before.
        """
        task = request.task
        if task.given is None or not self.config.look_ahead_units:
            return
        left = task.bars_left
        if left is None:
            left = np.full(len(task.given), NEUTRAL["bars_left"], np.int32)
        parts = (task.prefill, task, task.after)
        bars = np.concatenate([part.bar_position for part in parts]).astype(np.int32)
        runner = self._runner("ahead")
        state, found = _zeros(runner), []
        # The step before the first is silent and free.
        given = np.concatenate([np.zeros_like(task.given[:1]), task.given])
        for step in reversed(range(len(bars))):
            inputs = {
                "given": given[None, step : step + 2],
                "bar_position": bars[None, step : step + 1],
                "bars_left": left[None, step : step + 1],
            }
            state = runner(**_known(runner, {**state, **inputs}))
            found.append(state.pop("look_ahead")[0])
            if step % STREAM_STEPS == 0:
                yield np.stack(found[::-1]) if step == 0 else None

    def _runner(self, name: str) -> Any:
        """A signature of this thread's interpreter."""
        runners = self._of_thread.__dict__
        if "interpreter" not in runners:
            from ai_edge_litert.interpreter import Interpreter

            runners["interpreter"] = Interpreter(
                model_content=self._content, num_threads=1
            )
        if name not in runners:
            runners[name] = runners["interpreter"].get_signature_runner(name)
        return runners[name]


def last(items: Iterator[T]) -> T | None:
    """The last item; None if there is none."""
    return next(iter(collections.deque(items, maxlen=1)), None)


def _zeros(runner: Any, prefix: str = STATE) -> Arrays:
    details = runner.get_input_details()
    return {
        name: np.zeros(detail["shape"], detail["dtype"])
        for name, detail in details.items()
        if name.startswith(prefix)
    }


def _known(runner: Any, values: dict[str, Any]) -> Arrays:
    """The inputs that a signature has, in its shapes and types."""
    found = {}
    for name, detail in runner.get_input_details().items():
        value, shape = np.asarray(values[name], detail["dtype"]), detail["shape"]
        fits = value.ndim == len(shape) and (value.shape == shape).all()
        found[name] = value if fits else np.broadcast_to(value, shape)
    return found


def step_inputs(controls: Controls, row: int, step: int) -> dict[str, Any]:
    """The controls of one step of one row, neutral where there are none.

    `numbers` are those of the row alone.
    """
    numbers: Any = controls.numbers
    of_step = controls._replace(numbers=None).at(step)._asdict()
    left_out = ("seed", "key_scales")
    found = {k: v for k, v in of_step.items() if v is not None and k not in left_out}
    one = {
        k: v[row : row + 1] if np.ndim(v) and len(v) > 1 else v
        for k, v in found.items()
    }
    return {**NEUTRAL, **one, "numbers": numbers[:, step]}
