"""Composing: from a model and a few wishes to pieces, with or without a primer.

Each piece has the seed (seed, its number), so piece 3 of ten is piece 3 of a hundred.
Steps are drawn a chunk at a time by one compiled graph that carries the state on:
memory does not grow with the length, and there is something to show meanwhile.
"""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from poph_tf import dataset, matrices, midi, rendering
from poph_tf.errors import InputError
from poph_tf.sampling import Sampler

CHUNK_STEPS = 64
DEFAULT_TEMPO_QPM = 120.0


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What to compose.

    Args:
        num_pieces: int.
        num_bars: int. New bars of each piece.
        temperature: float. Below 1 safer, above 1 bolder.
        seed: int. The same seed, settings and build give the same pieces.
        style: str. A style's name, a mixture `bach:0.7,palestrina:0.3`, or "" for the
            shares of the training data.
        primer: Matrices to go on from, or None.
        keep_primer: bool. Whether the pieces begin with the primer.
        tempo_qpm: float. 0: the primer's, or 120.
    """

    num_pieces: int = 4
    num_bars: int = 32
    temperature: float = 1.0
    seed: int = 0
    style: str = ""
    primer: object = None
    keep_primer: bool = True
    tempo_qpm: float = 0.0

    def __post_init__(self):
        bounds = {
            "num_pieces": (1, 4096),
            "num_bars": (1, 1_000_000),
            "temperature": (0.0, 100.0),
            "seed": (0, 2**31 - 1),
            "tempo_qpm": (0.0, 1000.0),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must be {low} to {high}, got {value}.")


def style_vector(text, config):
    """Reads a style or a mixture.

    Args:
        text: str, as in `Wishes.style`.
        config: ModelConfig.

    Returns:
        float32 [styles], adding up to 1.

    Raises:
        InputError: If a style is not in the vocabulary or a weight is no share.
    """
    if not text.strip():
        shares = np.array(config.style_shares, np.float32)
        return shares / shares.sum()
    vector = np.zeros(len(config.styles), np.float32)
    for part in text.split(","):
        name, colon, weight = part.strip().partition(":")
        if name not in config.styles:
            raise InputError(
                f"The model knows no style {name!r}; it knows {', '.join(config.styles)}."
            )
        vector[config.styles.index(name)] += _weight(weight, part) if colon else 1.0
    if vector.sum() <= 0:
        raise InputError(f"The weights of style={text!r} must add up to more than 0.")
    return vector / vector.sum()


def _weight(text, part):
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise InputError(f"A style's weight must be a number from 0 up, got {part!r}.")
    return weight


class Composer:
    """Composes with one model; compiles its graph once for each batch size.

    Args:
        model: PolyphonyModel.
        jit_compile: bool. Compile the loop with XLA: several times faster a step for
            few pieces, after some ten seconds of compiling.
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
        state = self._start(wishes, controls)
        left = wishes.num_bars * self.bar_steps(wishes)
        while left > 0:
            cells, state = self._draw(state, controls)
            yield cells.numpy()[:, :left]
            left -= CHUNK_STEPS

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
        seeds = [[wishes.seed, piece] for piece in range(wishes.num_pieces)]
        style = style_vector(wishes.style, self.config)
        return {
            "seed": tf.constant(seeds, tf.int32),
            "temperature": tf.fill([wishes.num_pieces], float(wishes.temperature)),
            "style": tf.constant(np.tile(style, (wishes.num_pieces, 1))),
        }

    @staticmethod
    def bar_steps(wishes):
        """Steps of a bar: the primer's at its end, or 16."""
        if wishes.primer is None:
            return 16
        _, numerator, denominator = last_time_signature(wishes.primer)
        quarter = wishes.primer.steps_per_quarter
        return max(round(numerator * 4 * quarter / denominator), 1)

    def _start(self, wishes, controls):
        state = self.sampler.zero_state(wishes.num_pieces, self.bar_steps(wishes))
        if wishes.primer is None or not len(wishes.primer.cells):
            return state
        frames = dataset.to_frames(self._cropped(wishes.primer)[None])
        bars = self._bars_with_next(wishes)
        copies = [wishes.num_pieces] + [1] * 3
        return self._prime(
            state,
            tf.tile(frames, copies),
            tf.tile(tf.constant(bars)[None], copies[:2]),
            controls["style"],
        )

    def _cropped(self, primer):
        low = self.config.min_pitch
        return primer.cells[:, low : low + self.config.num_pitches]

    def _bars_with_next(self, wishes):
        bars = wishes.primer.bar_position.astype(np.int32)
        return np.append(bars, (bars[-1] + 1) % self.bar_steps(wishes))

    def _matrices(self, cells, wishes):
        whole = np.zeros((len(cells), 128, 3), np.uint8)
        low = self.config.min_pitch
        whole[:, low : low + self.config.num_pitches] = cells
        bar_steps, primer = self.bar_steps(wishes), wishes.primer
        first, signatures = 0, ((0, 4, 4),)
        if primer is not None and len(primer.cells):
            first = int(self._bars_with_next(wishes)[-1])
            signatures = ((0, *last_time_signature(primer)[1:]),)
        bars = ((np.arange(len(whole)) + first) % bar_steps).astype(np.uint8)
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


def last_time_signature(primer):
    """The time signature in force at the end of a piece: (step, numerator, denominator)."""
    return primer.time_signatures[-1] if primer.time_signatures else (0, 4, 4)


def write(pieces, output_dir, config, *, png=True):
    """Writes pieces as piece-1.mid, piece-1.png, ...

    Args:
        pieces: list of Matrices.
        output_dir: str, made if it is missing.
        config: ModelConfig, for the pitches to draw.
        png: bool.

    Returns:
        list of the paths written.
    """
    os.makedirs(output_dir, exist_ok=True)
    paths = []
    for number, piece in enumerate(pieces, start=1):
        stem = os.path.join(output_dir, f"piece-{number}")
        midi.write(matrices.to_sequence(piece), f"{stem}.mid")
        paths.append(f"{stem}.mid")
        if png:
            rendering.plot(
                piece,
                f"{stem}.png",
                title=f"{config.preset}, piece {number}",
                min_pitch=config.min_pitch,
                num_pitches=config.num_pitches,
            )
            paths.append(f"{stem}.png")
    return paths
