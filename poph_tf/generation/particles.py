"""Particles: drafts of one piece, weighed by what is given and regrouped by weight.

A draw from pitch to pitch and step to step cannot see what is given further on: a
melody above it in the same step, or the bars that follow. So each piece is drawn K
times side by side. A particle draws its free cells from the sampler, steered as wished,
and takes the given cells as they are. Its weight is multiplied in every step by

    product over the given cells j of the step of p(x_j | all cells before it)

where p is the model's own probability, at temperature 1 and unsteered. Where the
effective number of particles, (sum w)^2 / sum w^2, falls below K / 2, they are
resampled (systematic resampling): heavy ones go on several times, light ones end, and
all weigh the mean of the weights from then on. In the end one of the K is drawn by
weight. Its distribution tends, with K, to that proportional to

    product over free i of q(x_i | before) * product over given j of p(x_j | before)

with q what the sampler draws from: unsteered at temperature 1, q = p and this is the
model's distribution of pieces with these cells. The mean weight, times those of all
resamplings, estimates the probability of the given cells without bias.

Rows are piece-major: particle k of piece b is row b * K + k.

Source: Doucet and Johansen, A Tutorial on Particle Filtering and Smoothing: Fifteen
Years Later (2009), sections 3.4 (resampling, effective sample size) and 4.1 (sequential
importance resampling).
"""

import math

import numpy as np
import tensorflow as tf

from poph_tf.generation import randomness
from poph_tf.generation.sampler import Sampler

# What the state of particles has beside the sampler's, float32 [row]; zeros at first.
SUMS = ("log_weight", "log_likelihood", "log_evidence")
# Resampled where fewer than this share of the particles still count.
ESS_THRESHOLD = 0.5


class Particles(Sampler):
    """Draws each piece as several particles.

    Args:
        model: PolyphonyModel.
        num_particles: int, K.
    """

    def __init__(self, model, num_particles):
        super().__init__(model)
        self.num_particles = num_particles

    def draw_chunk(self, state, num_steps, controls):
        """Draws steps and regroups the particles after each.

        Args:
            state: dict, the sampler's with `SUMS`, or from an earlier call.
            num_steps: int.
            controls: dict, as for `Sampler.draw_steps`; of the particles of a piece
                each has a seed of its own, and all else the same.

        Returns:
            (uint8 [row, time, pitch, 3], what led to each row that there is now;
            int32 [row], the row at the start of the chunk that it came from; state).
        """
        rows = tf.range(tf.shape(state["step"])[0])
        # Place 0 is the row at the start, place t + 1 the row that drew step t.
        lineage = tf.tile(rows[:, None], (1, num_steps + 1))
        tracked = {"lineage": lineage, "place": tf.ones_like(rows)}
        cells, state = super().draw_steps(state | tracked, num_steps, controls)
        lineage = state["lineage"]
        times = tf.broadcast_to(tf.range(num_steps), tf.shape(lineage[:, 1:]))
        cells = tf.gather_nd(cells, tf.stack([lineage[:, 1:], times], axis=-1))
        kept = {name: state[name] for name in state if name not in tracked}
        return cells, lineage[:, 0], kept

    def _draw_step(self, state, controls):
        frame, state = super()._draw_step(state, controls)
        lineage = state["lineage"]
        rows = tf.range(tf.shape(lineage)[0])
        here = tf.range(tf.shape(lineage)[1]) == state["place"][:, None]
        state |= {
            "lineage": tf.where(here, rows[:, None], lineage),
            "place": state["place"] + 1,
        }
        number = self._numbers(state, controls.seed)[:, 0]
        return frame, self._regroup(state, number)

    def _numbers(self, state, seed):
        """Two numbers for each piece, which no pitch is drawn with: [piece, 2]."""
        first = slice(None, None, self.num_particles)
        numbers = randomness.uniforms(
            seed[first], state["step"][first], self.config.num_pitches + 1
        )
        return numbers[:, -1]

    def _by_piece(self, value):
        """[row] -> [piece, particle]."""
        return tf.reshape(value, (-1, self.num_particles))

    def _regroup(self, state, number):
        """Resamples the pieces that have too few particles left that count."""
        log_weight = self._by_piece(state["log_weight"])
        weight = tf.nn.softmax(log_weight)
        effective = 1.0 / tf.reduce_sum(tf.square(weight), axis=1)
        poor = effective < ESS_THRESHOLD * self.num_particles
        chosen = systematic(weight, number)
        stay = tf.broadcast_to(tf.range(self.num_particles), tf.shape(chosen))
        ancestors = tf.where(poor[:, None], chosen, stay)
        first = tf.range(tf.shape(ancestors)[0]) * self.num_particles
        rows = tf.reshape(ancestors + first[:, None], [-1])
        mean = tf.reduce_logsumexp(log_weight, axis=1) - math.log(self.num_particles)
        gained = tf.repeat(tf.where(poor, mean, 0.0), self.num_particles)
        left = tf.where(tf.repeat(poor, self.num_particles), 0.0, state["log_weight"])
        # Most steps give no reason to move anything.
        moved = tf.cond(
            tf.reduce_any(poor),
            lambda: _shaped(take_rows(state, rows), state),
            lambda: state,
        )
        evidence = state["log_evidence"] + gained
        return moved | {"log_weight": left, "log_evidence": evidence}

    def choose(self, state, seed):
        """Draws one particle of each piece by its weight.

        Args:
            state: dict, after the last step.
            seed: int32 [row, 2].

        Returns:
            int32 [piece], rows.
        """
        weight = tf.nn.softmax(self._by_piece(state["log_weight"]))
        number = self._numbers(state, seed)[:, 1:]
        below = tf.cast(tf.cumsum(weight, axis=1) <= number, tf.int32)
        chosen = tf.minimum(tf.reduce_sum(below, axis=1), self.num_particles - 1)
        return chosen + tf.range(tf.shape(chosen)[0]) * self.num_particles

    def log_evidence(self, state):
        """Estimate of the log-probability of the given cells so far, [piece].

        What tests hold against exact numbers, and a way to compare models.
        """
        mean = tf.reduce_logsumexp(self._by_piece(state["log_weight"]), axis=1)
        before = self._by_piece(state["log_evidence"])[:, 0]
        return before + mean - math.log(self.num_particles)


def systematic(weight, number):
    """Systematic resampling: K equally spaced points on the stacked weights.

    Args:
        weight: float32 [piece, particle], adding up to 1.
        number: float32 [piece] in [0, 1), where the first point lies in its K-th part.

    Returns:
        int32 [piece, particle]: particle i occurs floor(K w_i) or ceil(K w_i) times.
    """
    num_particles = weight.shape[1]
    points = (tf.range(num_particles, dtype=tf.float32) + number[:, None]) / (
        num_particles
    )
    edges = tf.cumsum(weight, axis=1)
    passed = tf.cast(edges[:, None, :] <= points[:, :, None], tf.int32)
    # Rounding can leave the last edge a little below 1.
    return tf.minimum(tf.reduce_sum(passed, axis=2), num_particles - 1)


def take_rows(state, rows):
    """Picks rows of a state, with the pitches that belong to them.

    Args:
        state: dict, nested, as the sampler's: batch (or batch * pitch) first.
        rows: int32 [rows wanted].

    Returns:
        dict, nested, of as many rows.
    """
    batch = tf.shape(state["step"])[0]

    def take(leaf):
        shape = tf.shape(leaf)
        blocks = tf.reshape(leaf, (batch, tf.size(leaf) // batch))
        taken = tf.gather(blocks, rows)
        first = shape[:1] // batch * tf.size(rows)
        return tf.reshape(taken, tf.concat([first, shape[1:]], axis=0))

    return tf.nest.map_structure(take, state)


def _shaped(state, like):
    """The same state with the shapes that a loop around it knows."""
    return tf.nest.map_structure(
        lambda new, old: tf.ensure_shape(new, old.shape), state, like
    )


def trace(chunks, rows):
    """Follows rows back through chunks that were drawn one after another.

    Args:
        chunks: list of (cells uint8 [row, time, pitch, 3], int [row]), as
            `draw_chunk` gives them.
        rows: int [piece], of the rows after the last chunk.

    Returns:
        uint8 [piece, time, pitch, 3].
    """
    parts = []
    for cells, came_from in reversed(chunks):
        parts.append(cells[rows])
        rows = came_from[rows]
    return np.concatenate(parts[::-1], axis=1)
