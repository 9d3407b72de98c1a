"""poph_tf from a notebook: load a model, compose, listen, look, save.

    import poph_tf

    bach = poph_tf.load("runs/bach")
    piece = bach.compose(bars=8, seed=1)[0]
    piece                      # a page with player and piano roll, in a notebook
    piece.save("piece.mid")
    for bar in bach.stream(bars=64):
        ...                    # uint8 [steps, pitch, 3], as it is drawn

Everything here is a thin cover over `generation`, `publishing` and their like.
"""

import dataclasses
import html
import os
import tempfile

import numpy as np

from poph_tf import audio, generation, matrices, midi, models, rendering, webpage
from poph_tf.errors import InputError


def load(model_dir):
    """Loads a model for composing.

    Args:
        model_dir: str. A directory that poph_tf.train wrote, or a `.keras` file.

    Returns:
        Musician.
    """
    return Musician(models.load(model_dir))


class Musician:
    """A model that composes.

    Args:
        model: PolyphonyModel.
    """

    def __init__(self, model):
        self.model = model
        self.composer = generation.Composer(model)

    @property
    def styles(self):
        """The styles that `compose(style=...)` knows."""
        return self.model.config.styles

    def compose(self, bars=8, pieces=1, primer=None, **wishes):
        """Composes pieces.

        Args:
            bars, pieces: int.
            primer: path of a music file, or Matrices, to go on from; or None.
            **wishes: of wishes.Wishes: seed, temperature, style, key, density, ...

        Returns:
            list of Composition.
        """
        wanted = self._wishes(bars, pieces, primer, wishes)
        return [
            Composition(piece, self.model.config)
            for piece in self.composer.compose(wanted)
        ]

    def stream(self, bars=8, primer=None, **wishes):
        """Yields one piece bar by bar as it is drawn, uint8 [steps, pitch, 3]."""
        wanted = self._wishes(bars, 1, primer, wishes)
        left = np.zeros((0, self.model.config.num_pitches, 3), np.uint8)
        for chunk in self.composer.chunks(wanted):
            left = np.concatenate([left, chunk[0]])
            while len(left) >= wanted.bar_steps:
                yield left[: wanted.bar_steps]
                left = left[wanted.bar_steps :]

    @staticmethod
    def _wishes(bars, pieces, primer, wishes):
        if isinstance(primer, (str, os.PathLike)):
            primer = matrices.from_sequence(midi.read(primer))
        known = {field.name for field in dataclasses.fields(generation.Wishes)}
        for name in wishes:
            if name not in known:
                raise InputError(
                    f"There is no wish {name!r}; there are {sorted(known)}."
                )
        return generation.Wishes(
            num_bars=bars, num_pieces=pieces, primer=primer, **wishes
        )


class Composition:
    """A composed piece.

    Args:
        piece: Matrices.
        config: ModelConfig, for the pitches to show.

    Attributes:
        matrices: Matrices.
    """

    def __init__(self, piece, config):
        self.matrices = piece
        self.config = config

    def save(self, path):
        """Writes .mid, .wav, .mp3, .png or .html, by the name's ending."""
        kind = os.path.splitext(str(path))[1].lower()
        writers = {
            ".mid": lambda: midi.write(self.sequence, path),
            ".wav": lambda: audio.synthesize(self.sequence, path),
            ".mp3": lambda: audio.synthesize(self.sequence, path),
            ".png": lambda: self.plot(path),
            ".html": lambda: webpage.write_page(
                [webpage.Piece("Composition", self.matrices)], path
            ),
        }
        if kind not in writers:
            raise InputError(f"{path}: must end in one of {', '.join(writers)}.")
        writers[kind]()

    @property
    def sequence(self):
        """The piece as a NoteSequence."""
        return matrices.to_sequence(self.matrices)

    def plot(self, path):
        """Draws the piano roll into a .png."""
        rendering.plot(
            self.matrices,
            path,
            min_pitch=self.config.min_pitch,
            num_pitches=self.config.num_pitches,
        )

    def play(self):
        """A player for a notebook (IPython.display.Audio)."""
        from IPython.display import Audio

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "piece.wav")
            audio.synthesize(self.sequence, path)
            return Audio(filename=path, embed=True)

    def _repr_html_(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "piece.html")
            self.save(path)
            with open(path, encoding="utf-8") as file:
                page = html.escape(file.read(), quote=True)
        return f'<iframe srcdoc="{page}" width="100%" height="420"></iframe>'
