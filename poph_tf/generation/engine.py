"""The drawing loop: from a request to pieces.

Each piece has the seed (seed, its number), so piece 3 of ten is piece 3 of a hundred;
its candidates and particles have seeds of their own. One compiled graph draws the steps
in chunks and carries the state on, so memory does not grow with the length and the
first bars are ready early.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf.data import dataset
from poph_tf.data.matrices import Matrices
from poph_tf.generation import controls as controls_lib
from poph_tf.generation import particles
from poph_tf.generation.base_engine import BaseEngine
from poph_tf.generation.request import Request
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models.polyphony_model import PolyphonyModel

CHUNK_STEPS = 64
# Steps that the network reads at once.
PREFILL_STEPS = 256
# Compiling with XLA takes about as long as drawing this many steps without it, and
# gains nothing if the matrix products are large: see the manual on speed.
COMPILE_FROM_STEPS = 512
COMPILE_UP_TO_ROWS = 8

# A chunk: cells [row, step, pitch, channel], the row each row came from, the state.
Chunk = tuple[np.ndarray, np.ndarray, State]


class Engine(BaseEngine[np.ndarray, State]):
    """Draws requests with one model; compiles one graph for each number of rows.

    Args:
        model: the model to draw from.
        jit_compile: whether to compile the loop with XLA; None compiles when that saves
            time: for a few long pieces.
    """

    def __init__(self, model: PolyphonyModel, jit_compile: bool | None = None) -> None:
        self.model = model
        self.config = model.config
        self.jit_compile = jit_compile
        self.sampler = Sampler(model)
        self._prefill = tf.function(
            self.sampler.prefill, reduce_retracing=True, autograph=False
        )
        self._graphs: dict[tuple[int, bool], Any] = {}

    def _finish(
        self,
        chunks: Sequence[tuple[np.ndarray, np.ndarray]],
        state: State,
        request: Request,
    ) -> list[Matrices]:
        rows, likelihood = np.arange(request.num_rows), None
        if request.num_particles:
            chooser = particles.Particles(self.model, request.num_particles)
            rows = chooser.choose(state, request.controls.seed).numpy()
        if request.num_candidates > 1:
            likelihood = state["log_likelihood"].numpy()[rows]
        return self._pieces(particles.trace(chunks, rows), likelihood, request)

    def _jit_compile(self, request: Request) -> bool:
        if self.jit_compile is not None:
            return self.jit_compile
        few = request.num_rows <= COMPILE_UP_TO_ROWS
        return few and request.num_steps >= COMPILE_FROM_STEPS

    def _draw(self, request: Request, streamed: bool) -> Iterator[Chunk]:
        # Compiling with XLA would delay the first bar of a stream.
        compiles = self.jit_compile if streamed else self._jit_compile(request)
        draw = self._graph(request.num_particles, bool(compiles))
        ahead = self._look_ahead(request)
        state = self._start(request, ahead)
        for first in range(0, request.num_steps, CHUNK_STEPS):
            controls = request.chunk(first, CHUNK_STEPS, ahead)
            cells, origins, state = draw(state, controls)
            yield cells.numpy()[:, : request.num_steps - first], origins.numpy(), state

    def _graph(self, num_particles: int, jit_compile: bool) -> Any:
        """The graph that draws a chunk from (state, controls)."""
        key = num_particles, jit_compile
        if key not in self._graphs:
            sampler = self.sampler
            if num_particles:
                sampler = particles.Particles(self.model, num_particles)
            self._graphs[key] = tf.function(
                lambda state, controls: sampler.draw_chunk(
                    state, CHUNK_STEPS, controls
                ),
                jit_compile=jit_compile,
                autograph=False,
            )
        return self._graphs[key]

    def _start(self, request: Request, ahead: np.ndarray | None) -> State:
        """The state of all rows before the first drawn step."""
        rows, styles = request.num_rows, request.styles[:1]
        if (request.controls.style != styles).any():
            styles = request.controls.style
        state = self.sampler.zero_state(len(styles), request.task.bar_steps)
        state = self._prefilled(state, request, styles, ahead)
        if len(styles) < rows:
            state = particles.take_rows(state, tf.zeros([rows], tf.int32))
        if request.controls.key_scales is not None:
            sounded = self._sounded(request.task.prefill.play)
            state["sounded"] = tf.constant(np.tile(sounded, (rows, 1)))
        if request.num_particles:
            state |= dict.fromkeys(particles.SUMS, tf.zeros([rows]))
        elif request.num_candidates > 1:
            state["log_likelihood"] = tf.zeros([rows])
        return state

    def _sounded(self, play: np.ndarray) -> np.ndarray:
        """How many steps each pitch has sounded, decayed: float32 [pitch]."""
        weight = controls_lib.KEY_DECAY ** np.arange(len(play))[::-1]
        return (weight @ play[:, self.config.pitches]).astype(np.float32)

    def _prefilled(
        self,
        state: State,
        request: Request,
        styles: np.ndarray,
        ahead: np.ndarray | None,
    ) -> State:
        """Reads the prefill, in one row or one for each of `styles`."""
        task, rows = request.task, len(styles)
        music = task.prefill
        cells = music.cells[..., self.config.pitches, :]
        bars = np.append(music.bar_position, task.bar_position[:1]).astype(np.int32)

        def of_rows(values: np.ndarray) -> tf.Tensor:
            return tf.constant(np.broadcast_to(values, (rows, *values.shape)))

        for first in range(0, len(music), PREFILL_STEPS):
            steps = slice(first, min(first + PREFILL_STEPS, len(music)))
            known = {}
            if request.controls.key is not None:
                known["key"] = tf.constant(request.controls.key[:rows])
            if task.bars_left is not None:
                known["bars_left"] = of_rows(task.bars_left[steps])
            if ahead is not None:
                known["look_ahead"] = of_rows(ahead[steps])
            state = self._prefill(
                state,
                dataset.to_frames(of_rows(cells[steps])),
                of_rows(bars[steps.start : steps.stop + 1]),
                tf.constant(styles),
                **known,
            )
        if task.given is not None and len(music):
            given = task.given[len(music) - 1, :, 0, 0]
            state = state | {"given": of_rows(given)}
        return state

    def _look_ahead(self, request: Request) -> np.ndarray | None:
        """A summary of the given notes ahead, float32 [whole step, features].

        It is computed once, backwards over the whole piece, before the first step.
        """
        task = request.task
        if task.given is None or not self.config.look_ahead_units:
            return None
        frames = task.given[..., 1:]
        inputs: dict[str, Any] = {
            "current": frames,
            "previous": np.concatenate([np.zeros_like(frames[:1]), frames[:-1]]),
            "given": task.given[:, :, 0, 0],
            "bar_position": task.whole_bar_position,
            "bars_left": task.bars_left,
        }
        batch = {name: tf.constant(value[None]) for name, value in inputs.items()}
        if self.config.chords and (key := request.controls.key) is not None:
            batch["key"] = tf.constant(key[:1])
        return self.sampler.look_ahead(batch)[0].numpy()
