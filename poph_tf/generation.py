"""Composing: from a model and a few wishes to pieces, with or without a primer.

Each piece has the seed (seed, its number), so piece 3 of ten is piece 3 of a hundred.
Steps are drawn a chunk at a time by one compiled graph that carries the state on:
memory does not grow with the length, and there is something to show meanwhile.
"""

import numpy as np
import tensorflow as tf

from poph_tf import dataset, matrices, steering
from poph_tf.sampling import Sampler
from poph_tf.wishes import Wishes, style_schedule

__all__ = ["Composer", "Wishes"]

CHUNK_STEPS = 64
DEFAULT_TEMPO_QPM = 120.0


class Composer:
    """Composes with one model; compiles its graph once for each batch size.

    Args:
        model: PolyphonyModel.
        jit_compile: bool. Compile the loop with XLA: several times faster a step for
            few pieces, after some seconds of compiling.
    """

    def __init__(self, model, jit_compile=True):
        self.config = model.config
        self.sampler = Sampler(model)
        self._prime = tf.function(self.sampler.prime, reduce_retracing=True)
        self._draw = tf.function(
            lambda state, controls: self.sampler.draw_steps(
                state, CHUNK_STEPS, controls
            ),
            jit_compile=jit_compile,
        )

    def chunks(self, wishes):
        """Yields the new steps as they are drawn, uint8 [batch, steps, pitch, 3]."""
        controls = self._controls(wishes)
        schedule = style_schedule(wishes.style, self.config)
        state = self._start(wishes, schedule[0][1])
        total = wishes.num_bars * wishes.bar_steps
        for first in range(0, total, CHUNK_STEPS):
            styles = self._styles(wishes, schedule, first)
            cells, state = self._draw(state, controls | {"style": styles})
            yield cells.numpy()[:, : total - first]

    def compose(self, wishes, progress=None):
        """Composes pieces.

        Args:
            wishes: Wishes.
            progress: called with the number of steps drawn so far, or None.

        Returns:
            list of Matrices, one for each piece.
        """
        drawn, chunks = 0, []
        for chunk in self.chunks(wishes):
            chunks.append(chunk)
            drawn += chunk.shape[1]
            if progress:
                progress(drawn)
        return [
            self._matrices(cells, wishes) for cells in np.concatenate(chunks, axis=1)
        ]

    def _controls(self, wishes):
        """What the sampler is told of the wishes; those left at rest stay out."""
        batch = wishes.num_pieces
        seeds = [[wishes.seed, piece] for piece in range(batch)]
        controls = {
            "seed": tf.constant(seeds, tf.int32),
            "temperature": tf.fill([batch], float(wishes.temperature)),
        }
        at_rest = {
            "replay_temperature": 0.0,
            "density": 0.0,
            "cut": 0.0,
            "conservativity": 1.0,
        }
        for name, rest in at_rest.items():
            if getattr(wishes, name) != rest:
                controls[name] = tf.fill([batch], float(getattr(wishes, name)))
        bias = steering.pitch_bias(
            self.config,
            wishes.key,
            wishes.key_strength,
            wishes.min_pitch,
            wishes.max_pitch,
        )
        if bias is not None:
            controls["bias"] = tf.constant(np.tile(bias, (batch, 1)))
        return controls

    def _styles(self, wishes, schedule, first):
        """Style of the chunk from step `first` on: [batch, styles], or by step."""
        batch = wishes.num_pieces
        if len(schedule) == 1:
            return tf.constant(np.tile(schedule[0][1], (batch, 1)))
        starts = np.array([bar for bar, _ in schedule])
        vectors = np.stack([vector for _, vector in schedule])
        bars = (first + np.arange(CHUNK_STEPS)) // wishes.bar_steps
        by_step = vectors[np.searchsorted(starts, bars, side="right") - 1]
        return tf.constant(np.tile(by_step, (batch, 1, 1)))

    def _start(self, wishes, style):
        batch, primer = wishes.num_pieces, wishes.primer
        state = self.sampler.zero_state(batch, wishes.bar_steps)
        if primer is None or not len(primer.cells):
            return state
        low = self.config.min_pitch
        cells = primer.cells[:, low : low + self.config.num_pitches]
        frames = dataset.to_frames(np.tile(cells, (batch, 1, 1, 1)))
        bars = np.tile(self._bars_with_next(wishes), (batch, 1))
        styles = np.tile(style, (batch, 1))
        return self._prime(
            state, frames, tf.constant(bars, tf.int32), tf.constant(styles)
        )

    @staticmethod
    def _bars_with_next(wishes):
        """Bar positions of the primer's steps and of the first new one."""
        bars = wishes.primer.bar_position.astype(np.int32)
        return np.append(bars, (bars[-1] + 1) % wishes.bar_steps)

    def _matrices(self, cells, wishes):
        whole = np.zeros((len(cells), 128, 3), np.uint8)
        low = self.config.min_pitch
        whole[:, low : low + self.config.num_pitches] = cells
        primer, first = wishes.primer, 0
        signatures = ((0, *wishes.time_signature[1:]),)
        if primer is not None and len(primer.cells):
            first = int(self._bars_with_next(wishes)[-1])
        bars = ((np.arange(len(whole)) + first) % wishes.bar_steps).astype(np.uint8)
        if primer is not None and wishes.keep_primer:
            whole = np.concatenate([primer.cells, whole])
            bars = np.concatenate([primer.bar_position, bars])
            signatures = primer.time_signatures or signatures
        tempo = wishes.tempo_qpm or (primer.tempo_qpm if primer else DEFAULT_TEMPO_QPM)
        piece = matrices.Matrices(
            cells=whole,
            bar_position=bars,
            tempo_qpm=float(tempo),
            time_signatures=signatures,
        )
        # Without its primer a piece can begin in the middle of a held note.
        return matrices.canonical(piece)
