"""Particles: candidates of one piece, weighted and resampled by its clamped cells.

A draw from pitch to pitch and step to step cannot see the clamped cells that come
later, such as a melody above it in the same step or the bars that follow. So each piece
is drawn K times side by side. A particle samples its free cells, with all controls, and
keeps the clamped cells. In every step its weight is multiplied by

    product over the clamped cells j of the step of p(x_j | all cells before it)

with the model's own probability p, at temperature 1 and without controls. When the
effective sample size (sum w)^2 / sum w^2 falls below K / 2, the particles are resampled
(systematic resampling): heavy ones continue several times, light ones end, and all get
the mean weight. At the end one of the K is drawn by weight. For large K its
distribution tends to one proportional to

    product over free i of q(x_i | before) * product over clamped j of p(x_j | before)

where q is the distribution that the sampler draws from. Without controls and at
temperature 1, q = p, and this is the model's distribution of pieces with these cells.
The mean weight, times those of all resamplings, is an unbiased estimate of the
probability of the clamped cells.

Rows are piece-major: particle k of piece b is row b * K + k.

Source: Doucet and Johansen, A Tutorial on Particle Filtering and Smoothing: Fifteen
Years Later (2009), sections 3.4 (resampling, effective sample size) and 4.1 (sequential
importance resampling).
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from poph_tf.generation import randomness
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models.polyphony_model import PolyphonyModel

# Sums in the state of particles, float32 [row], 0 at first.
SUMS = ("log_weight", "log_likelihood", "log_evidence")
# Resample below this share of effective particles.
ESS_THRESHOLD = 0.5


class Particles(Sampler):
    """Draws each piece as several particles.

    Args:
        model: the model to draw from.
        num_particles: K, the particles of each piece.

    Reference:
        Doucet and Johansen (2009), sections 3.4 and 4.1.
    """

    def __init__(self, model: PolyphonyModel, num_particles: int) -> None:
        super().__init__(model)
        self.num_particles = num_particles

    def draw_chunk(
        self, state: State, num_steps: int, controls: Controls
    ) -> tuple[tf.Tensor, tf.Tensor, State]:
        """Draws steps and resamples the particles after each.

        Args:
            state: the sampler's with `SUMS`, or that of an earlier call.
            num_steps: number of steps.
            controls: equal for all particles of a piece, except the seed.

        Returns:
            Cells uint8 [row, step, pitch, channel] that led to each current row, the
            row int32 [row] at the start that each came from, and the state.
        """
        rows = tf.range(tf.shape(state["step"])[0])
        # Place 0 is the row at the start, place t + 1 the row that drew step t.
        lineage = tf.tile(rows[:, None], (1, num_steps + 1))
        tracked = {"lineage": lineage, "place": tf.ones_like(rows)}
        cells, state = self.draw_steps(state | tracked, num_steps, controls)
        lineage = state["lineage"]
        times = tf.broadcast_to(tf.range(num_steps), tf.shape(lineage[:, 1:]))
        cells = tf.gather_nd(cells, tf.stack([lineage[:, 1:], times], axis=-1))
        kept = {name: state[name] for name in state if name not in tracked}
        return cells, lineage[:, 0], kept

    def draw_step(self, state: State, controls: Controls) -> tuple[tf.Tensor, State]:
        """Draws one step of each particle."""
        frame, state = super().draw_step(state, controls)
        lineage = state["lineage"]
        rows = tf.range(tf.shape(lineage)[0])
        here = tf.range(tf.shape(lineage)[1]) == state["place"][:, None]
        state["lineage"] = tf.where(here, rows[:, None], lineage)
        state["place"] += 1
        return frame, self._resample(state, self._numbers(state, controls.seed)[:, 0])

    def _numbers(self, state: State, seed: tf.Tensor) -> tf.Tensor:
        """Two random numbers per piece that no pitch uses, [piece, 2]."""
        first = slice(None, None, self.num_particles)
        num_numbers = self.config.num_pitches + 1
        numbers = randomness.uniforms(seed[first], state["step"][first], num_numbers)
        return numbers[:, -1]

    def _by_piece(self, value: tf.Tensor) -> tf.Tensor:
        """[row] -> [piece, particle]."""
        return tf.reshape(value, (-1, self.num_particles))

    def _resample(self, state: State, number: tf.Tensor) -> State:
        """Resamples the pieces with a small effective sample size."""
        log_weight = self._by_piece(state["log_weight"])
        weight = tf.nn.softmax(log_weight)
        effective = 1.0 / tf.reduce_sum(tf.square(weight), axis=1)
        poor = effective < ESS_THRESHOLD * self.num_particles
        stay = tf.broadcast_to(tf.range(self.num_particles), tf.shape(weight))
        ancestors = tf.where(poor[:, None], systematic(weight, number), stay)
        first = tf.range(tf.shape(ancestors)[0]) * self.num_particles
        rows = tf.reshape(ancestors + first[:, None], [-1])
        mean = tf.reduce_logsumexp(log_weight, axis=1) - math.log(self.num_particles)
        gained = tf.repeat(tf.where(poor, mean, 0.0), self.num_particles)
        left = tf.where(tf.repeat(poor, self.num_particles), 0.0, state["log_weight"])
        # Most steps move no particle.
        moved = tf.cond(
            tf.reduce_any(poor), lambda: take_rows(state, rows), lambda: state
        )
        # The loop over steps needs the shapes it began with.
        moved = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), moved, state
        )
        evidence = state["log_evidence"] + gained
        return moved | {"log_weight": left, "log_evidence": evidence}

    def choose(self, state: State, seed: tf.Tensor) -> tf.Tensor:
        """Draws one particle of each piece by its weight.

        Args:
            state: the state after the last step.
            seed: int32 [row, 2].

        Returns:
            int32 [piece], rows.
        """
        weight = tf.nn.softmax(self._by_piece(state["log_weight"]))
        chosen = _places(tf.cumsum(weight, axis=1), self._numbers(state, seed)[:, 1:])
        return chosen[:, 0] + tf.range(tf.shape(chosen)[0]) * self.num_particles

    def log_evidence(self, state: State) -> tf.Tensor:
        """Estimate of the log-probability of the clamped cells so far, [piece]."""
        mean = tf.reduce_logsumexp(self._by_piece(state["log_weight"]), axis=1)
        before = self._by_piece(state["log_evidence"])[:, 0]
        return before + mean - math.log(self.num_particles)


def systematic(weight: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Systematic resampling: K equally spaced points on the stacked weights.

    Args:
        weight: float32 [piece, particle], adding up to 1.
        number: float32 [piece] in [0, 1), where the first point lies in the first 1/K.

    Returns:
        int32 [piece, particle]: particle i occurs floor(K w_i) or ceil(K w_i) times.

    Reference:
        Doucet and Johansen (2009), section 3.4.
    """
    num_particles = weight.shape[1]
    points = tf.range(num_particles, dtype=tf.float32) + number[:, None]
    return _places(tf.cumsum(weight, axis=1), points / num_particles)


def _places(edges: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """The interval of edges [piece, particle] around points: int32 [piece, point]."""
    passed = tf.cast(edges[:, None, :] <= points[:, :, None], tf.int32)
    # Rounding can leave the last edge a little below 1.
    return tf.minimum(tf.reduce_sum(passed, axis=2), edges.shape[1] - 1)


def take_rows(state: State, rows: tf.Tensor) -> State:
    """Picks rows of a state, with their pitches.

    Args:
        state: nested; every tensor has the batch (or batch * pitch) first.
        rows: int32 [row], the rows to pick.
    """
    batch = tf.shape(state["step"])[0]

    def take(leaf: tf.Tensor) -> tf.Tensor:
        blocks = tf.reshape(leaf, (batch, -1, *leaf.shape[1:]))
        return tf.reshape(tf.gather(blocks, rows), (-1, *leaf.shape[1:]))

    return tf.nest.map_structure(take, state)


def trace(
    chunks: Sequence[tuple[np.ndarray, np.ndarray]], rows: np.ndarray
) -> np.ndarray:
    """Follows rows back through chunks that were drawn one after another.

    Args:
        chunks: cells uint8 [row, step, pitch, channel] and origins int [row] of each,
            as from `draw_chunk`.
        rows: int [piece], rows after the last chunk.

    Returns:
        uint8 [piece, step, pitch, channel].

    Example:
        >>> first, second = np.arange(4).reshape(2, 2, 1, 1, 1)
        >>> chunks = (first, np.array([0, 1])), (second, np.array([1, 0]))
        >>> trace(chunks, np.array([0])).ravel().tolist()  # row 0 came from row 1
        [1, 2]
    """
    parts = []
    for cells, origins in reversed(chunks):
        parts.append(cells[rows])
        rows = origins[rows]
    return np.concatenate(parts[::-1], axis=1)
