"""A few bars composed at each validation, to see and hear what a model has learned.

The seed stays the same throughout a run, so that the pieces can be compared. Without
matplotlib there is no picture, without tinysoundfont no sound.
"""

import pathlib
import tempfile
import wave
from collections.abc import Callable

import numpy as np

from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import engine
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.rendering import audio, piano_roll

SAMPLE_RATE = 16000
TEMPO_QPM = 100.0


class Previews:
    """Composes with a model while its weights change.

    Args:
        model: the model, in float32.
        num_bars: length of a piece, in 4/4.
        seed: seed of the piece.
    """

    def __init__(self, model: PolyphonyModel, num_bars: int, seed: int = 0) -> None:
        # Compiling with XLA would take longer than all previews of a run.
        self.composer = engine.Composer(model, jit_compile=False)
        self.config = GenerationConfig(
            num_pieces=1, num_bars=num_bars, seed=seed, tempo_qpm=TEMPO_QPM
        )

    def compose(self) -> matrices.Matrices:
        """Composes one piece."""
        (piece,) = self.composer.compose(self.config)
        return piece


def picture(piece: matrices.Matrices, title: str = "") -> bytes | None:
    """The piano roll as the bytes of a PNG file; None without matplotlib."""
    return _bytes_of(".png", lambda path: piano_roll.plot(piece, path, title=title))


def sound(piece: matrices.Matrices) -> bytes | None:
    """The piece as the bytes of a mono WAV file; None without tinysoundfont."""
    sequence = matrices.to_sequence(piece)

    def write(path: pathlib.Path) -> None:
        audio.synthesize(sequence, path, sample_rate=SAMPLE_RATE, tail_seconds=0.5)
        with wave.open(str(path)) as file:
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        # One channel halves the size of the event file.
        stereo = frames.reshape(-1, 2).astype(np.float32) / 32768
        audio.write_wav(path, stereo.mean(axis=1, keepdims=True), SAMPLE_RATE)

    return _bytes_of(".wav", write)


def _bytes_of(suffix: str, write: Callable[[pathlib.Path], object]) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"piece{suffix}"
        try:
            write(path)
        except InputError:  # a library is not installed
            return None
        return path.read_bytes()
