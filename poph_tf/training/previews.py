"""A few bars composed while a model trains, to see and hear what it has learned.

The seed stays the same throughout a run, so that pieces can be compared. They come to
a moment's work; what is not installed (matplotlib, tinysoundfont) is left out.
"""

import os
import tempfile
import wave

import numpy as np

from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import engine
from poph_tf.rendering import audio, piano_roll

SAMPLE_RATE = 16000
TEMPO_QPM = 100.0


class Previews:
    """Composes with a model whose weights change.

    Args:
        model: PolyphonyModel in float32.
        num_bars: int. Length of a piece, in 4/4.
        seed: int.
    """

    def __init__(self, model, num_bars, seed=0):
        # Compiling with XLA would take longer than all that is ever drawn here.
        self.composer = engine.Composer(model, jit_compile=False)
        self.wishes = GenerationConfig(
            num_pieces=1, num_bars=num_bars, seed=seed, tempo_qpm=TEMPO_QPM
        )

    def compose(self):
        """Returns one piece, Matrices."""
        (piece,) = self.composer.compose(self.wishes)
        return piece


def picture(piece, title=""):
    """The piano roll as the bytes of a PNG file; None without matplotlib."""
    return _file_of(".png", lambda path: piano_roll.plot(piece, path, title=title))


def sound(piece):
    """The piece as the bytes of a WAV file in mono; None without tinysoundfont."""
    sequence = matrices.to_sequence(piece)

    def write(path):
        piano_roll.synthesize(sequence, path, sample_rate=SAMPLE_RATE, tail_seconds=0.5)
        with wave.open(path) as file:
            frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        # One channel is half of the event file.
        stereo = frames.reshape(-1, 2).astype(np.float32) / 32768
        audio.write_wav(path, stereo.mean(axis=1, keepdims=True), SAMPLE_RATE)

    return _file_of(".wav", write)


def _file_of(extension, write):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"piece{extension}")
        try:
            write(path)
        except InputError:  # something that draws or plays is not installed
            return None
        with open(path, "rb") as file:
            return file.read()
