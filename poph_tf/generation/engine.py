"""Composing: from a model and a few wishes to pieces.

Each piece has the seed (seed, its number), so piece 3 of ten is piece 3 of a hundred;
its drafts and particles have seeds of their own beside it. Steps are drawn a chunk at
a time by one compiled graph that carries the state on: memory does not grow with the
length, and there is something to show meanwhile.
"""

import numpy as np
import tensorflow as tf

from poph_tf.config.generation import MAX_PIECES, GenerationConfig
from poph_tf.data import dataset
from poph_tf.errors import InputError
from poph_tf.generation import candidates, particles, tasks
from poph_tf.generation import controls as controls_lib
from poph_tf.generation.request import style_schedule
from poph_tf.generation.sampler import Sampler

__all__ = ["Composer", "GenerationConfig"]

CHUNK_STEPS = 64
# Steps that the network hears at once.
HEARD_STEPS = 256
# Compiling with XLA costs about as much as drawing this many steps without it, and
# gains nothing any more where the products are large: see docs/results/speed.md.
COMPILE_FROM_STEPS = 512
COMPILE_UP_TO_ROWS = 8


class Composer:
    """Composes with one model; compiles its graphs once for each number of rows.

    Args:
        model: PolyphonyModel.
        jit_compile: bool. Compile the loop with XLA; None: where it saves time, which
            is in long pieces, a few at a time.
    """

    def __init__(self, model, jit_compile=None):
        self.model = model
        self.config = model.config
        self.jit_compile = jit_compile
        self.sampler = Sampler(model)
        self._prefill = tf.function(self.sampler.prefill, reduce_retracing=True)
        self._functions = {}

    def chunks(self, wishes):
        """Yields the new steps as they are drawn, uint8 [batch, steps, pitch, 3].

        Raises:
            InputError: If what is drawn is known in the end only, since it is chosen
                from several drafts.
        """
        if wishes.rows_per_piece > 1:
            raise InputError(
                "Bars can be had as they are drawn where each piece is drawn once: "
                "without best_of, and without particles for fix or redraw."
            )
        plan = tasks.make(wishes, self.config)
        # Who waits for the first bar would wait for XLA.
        jit_compile, left = bool(self.jit_compile), plan.kept
        for cells, _, _ in self._draw(plan, wishes, jit_compile):
            yield cells[:, :left]
            left = max(left - cells.shape[1], 0)

    def compose(self, wishes, progress=None):
        """Composes pieces.

        Args:
            wishes: GenerationConfig.
            progress: called with the number of steps drawn so far, or None.

        Returns:
            list of Matrices, one for each piece.
        """
        plan = tasks.make(wishes, self.config)
        drawn, chunks, state = 0, [], None
        jit_compile = self._jit(plan, wishes)
        for cells, came_from, after in self._draw(plan, wishes, jit_compile):
            chunks.append((cells, came_from))
            drawn, state = drawn + cells.shape[1], after
            if progress:
                progress(drawn)
        rows = np.arange(wishes.num_pieces * wishes.best_of)
        if wishes.num_particles:
            chooser = particles.Particles(self.model, wishes.num_particles)
            rows = chooser.choose(state, self._seeds(wishes)).numpy()
        cells = particles.trace(chunks, rows)
        if wishes.best_of > 1:
            likelihood = state["log_likelihood"].numpy()[rows]
            kept = cells[:, : plan.kept]
            cells = cells[candidates.best(kept, likelihood, wishes, self.config)]
        return [plan.piece(steps, self.config.min_pitch) for steps in cells]

    def _jit(self, plan, wishes):
        if self.jit_compile is not None:
            return self.jit_compile
        few = wishes.num_pieces * wishes.rows_per_piece <= COMPILE_UP_TO_ROWS
        return few and plan.num_steps >= COMPILE_FROM_STEPS

    def _draw(self, plan, wishes, jit_compile):
        """Yields (cells, the rows that they came from, state), chunk by chunk."""
        schedule = style_schedule(wishes.style, self.config)
        controls = self._controls(wishes)
        state = self._start(plan, wishes, schedule[0][1])
        draw = self._function(wishes.num_particles, jit_compile)
        bars = 0
        for first in range(0, plan.num_steps, CHUNK_STEPS):
            steps = slice(first, first + CHUNK_STEPS)
            lines = plan.bar_position[steps] == 0
            bar = bars + np.cumsum(lines) - (plan.bar_position[0] == 0)
            bars += int(lines.sum())
            here = self._by_step(plan, wishes, schedule, steps, bar)
            cells, came_from, state = draw(state, controls._replace(**here))
            yield cells.numpy()[:, : len(lines)], came_from.numpy(), state

    def _function(self, num_particles, jit_compile):
        """The graph that draws a chunk: (state, controls) -> as `_draw` yields."""
        key = num_particles, jit_compile
        if key not in self._functions:
            chooser = particles.Particles(self.model, num_particles)
            draw = chooser.draw_chunk if num_particles else self._draw_chunk
            self._functions[key] = tf.function(
                lambda state, controls: draw(state, CHUNK_STEPS, controls),
                jit_compile=jit_compile,
            )
        return self._functions[key]

    def _draw_chunk(self, state, num_steps, controls):
        cells, state = self.sampler.draw_steps(state, num_steps, controls)
        return cells, tf.range(tf.shape(cells)[0]), state

    @staticmethod
    def _seeds(wishes):
        """int32 [row, 2]: drafts of a piece together, particles of a draft together."""
        pieces, number = np.divmod(
            np.arange(wishes.num_pieces * wishes.rows_per_piece), wishes.rows_per_piece
        )
        second = pieces + MAX_PIECES * number
        return np.stack([np.full_like(second, wishes.seed), second], 1).astype(np.int32)

    def _controls(self, wishes):
        """The controls that hold for a whole piece, of all rows."""
        rows = wishes.num_pieces * wishes.rows_per_piece

        def filled(value):
            return tf.fill([rows], float(value))

        at_rest = {
            "replay_temperature": 0.0,
            "density": 0.0,
            "min_probability": 0.0,
            "probability_exponent": 1.0,
            "silence_temperature": controls_lib.SILENCE_TEMPERATURE,
        }
        changed = {
            name: filled(getattr(wishes, name))
            for name, rest in at_rest.items()
            if getattr(wishes, name) != rest
        }
        bias = controls_lib.pitch_bias(
            self.config,
            wishes.key,
            wishes.key_strength,
            wishes.min_pitch,
            wishes.max_pitch,
        )
        if bias is not None:
            changed["pitch_bias"] = tf.constant(np.tile(bias, (rows, 1)))
        if wishes.key == controls_lib.AUTO_KEY:
            changed["key_strength"] = filled(wishes.key_strength)
            changed["key_scales"] = tf.constant(controls_lib.key_scales(self.config))
        return controls_lib.Controls(
            seed=tf.constant(self._seeds(wishes)),
            temperature=filled(wishes.temperature),
            style=None,
            **changed,
        )

    def _by_step(self, plan, wishes, schedule, steps, bar):
        """Controls of a chunk that change along the piece; the last one is filled up.

        Args:
            plan: Plan.
            wishes: GenerationConfig.
            schedule: as from `style_schedule`.
            steps: slice.
            bar: int [steps], the number of bar lines before each step.
        """
        rows = wishes.num_pieces * wishes.rows_per_piece
        style = schedule[0][1]
        if len(schedule) > 1:
            starts = np.array([bar for bar, _ in schedule])
            vectors = np.stack([vector for _, vector in schedule])
            style = _filled(vectors[np.searchsorted(starts, bar, side="right") - 1])
        here = {
            "style": style,
            "bar_position": _filled(plan.bar_position[steps]).astype(np.int32),
        }
        if wishes.rows_per_piece > 1:
            here["scored"] = _filled(np.ones(len(bar), np.float32))
        if plan.cells is not None:
            here["constraints"] = _filled(plan.cells[steps])
        return {name: _tiled(value, rows) for name, value in here.items()}

    def _start(self, plan, wishes, style):
        """The state before the first step drawn, of all rows."""
        state = self.sampler.zero_state(1, plan.bar_steps)
        state = self._hear(state, plan, style)
        rows = wishes.num_pieces * wishes.rows_per_piece
        state = particles.take_rows(state, tf.zeros([rows], tf.int32))
        if wishes.key == controls_lib.AUTO_KEY:
            state["sounded"] = _tiled(self._sounded(plan.heard[0]), rows)
        zeros = tf.zeros([rows])
        if wishes.num_particles:
            return state | dict.fromkeys(particles.SUMS, zeros)
        if wishes.best_of > 1:
            return state | {"log_likelihood": zeros}
        return state

    def _sounded(self, cells):
        """How much each pitch has sounded in the steps heard, float32 [pitch]."""
        seen = slice(self.config.min_pitch, self.config.max_pitch + 1)
        faded = controls_lib.KEY_DECAY ** np.arange(len(cells))[::-1]
        return (faded @ cells[:, seen, 0]).astype(np.float32)

    def _hear(self, state, plan, style):
        cells, bars = plan.heard
        seen = slice(self.config.min_pitch, self.config.max_pitch + 1)
        bars = np.append(bars, plan.bar_position[:1]).astype(np.int32)
        for first in range(0, len(cells), HEARD_STEPS):
            steps = slice(first, first + HEARD_STEPS)
            positions = bars[first : first + len(cells[steps]) + 1]
            state = self._prefill(
                state,
                dataset.to_frames(cells[None, steps, seen]),
                tf.constant(positions[None]),
                tf.constant(style[None]),
            )
        return state


def _filled(values):
    """Fills the steps of the last chunk up with zeros: what they draw is not kept."""
    missing = CHUNK_STEPS - len(values)
    return np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))


def _tiled(values, rows):
    return tf.constant(np.broadcast_to(values, (rows, *values.shape)))
