"""A few bars composed at each validation, to show what a model has learned.

The seed stays the same throughout a run, so that the pieces can be compared.
"""

from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.generation import engine
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.rendering import audio, figures, piano_roll

SAMPLE_RATE = 16000
TEMPO_QPM = 100.0


class Previews:
    """Composes with a model while its weights change.

    Args:
        model: the model, in float32.
        num_bars: length of a piece, in 4/4.
    """

    def __init__(self, model: PolyphonyModel, num_bars: int) -> None:
        # Compiling with XLA would take longer than all previews of a run.
        self.composer = engine.Engine(model, jit_compile=False)
        self.config = GenerationConfig(
            num_pieces=1, num_bars=num_bars, seed=0, tempo_qpm=TEMPO_QPM
        )

    def compose(self) -> matrices.Matrices:
        """Composes one piece."""
        (piece,) = self.composer.compose(self.config)
        return piece


def picture(piece: matrices.Matrices, title: str) -> bytes:
    """The piano roll as the bytes of a PNG file.

    Raises:
        InputError: If matplotlib is not installed.
    """
    return figures.to_png(piano_roll.draw(piece, title=title))


def sound(piece: matrices.Matrices) -> bytes:
    """The piece as the bytes of a mono WAV file.

    Raises:
        InputError: If tinysoundfont is not installed.
    """
    sequence = matrices.to_sequence(piece)
    stereo = audio.synthesize(sequence, sample_rate=SAMPLE_RATE, tail_seconds=0.5)
    # One channel halves the size of the event file.
    return audio.to_wav(stereo.mean(axis=1, keepdims=True), SAMPLE_RATE)
