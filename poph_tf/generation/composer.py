"""poph_tf from a notebook: load a model, compose, listen, look, save.

    import poph_tf

    bach = poph_tf.load("bach")  # a style or name of a pretrained model, or a directory
    piece = bach.compose(bars=8, seed=1)
    piece                        # a page with player and piano roll, in a notebook
    piece.save("piece.mid")
    four = bach.compose(bars=8, pieces=4)
    harmonized = bach.compose(fix="melody.mid")
    for bar in bach.stream(bars=64):
        ...                      # uint8 [steps, pitch, 3], as it is drawn

Everything here is a thin cover over `generation`, `publishing` and their like.
"""

import dataclasses
import html
import os

import numpy as np

from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import engine, tasks
from poph_tf.models import pretrained
from poph_tf.rendering import audio, figures, piano_roll, saving
from poph_tf.rendering import html as html_lib

# GenerationConfig that are music: a path, or Matrices.
MUSIC = ("primer", "fix")


def load(model=None):
    """Loads a model for composing.

    Args:
        model: str. A directory that poph_tf.train wrote, a `.keras` file, the name of
            a pretrained model, or a style that one of them knows, in which it then
            composes; None: the default of the pretrained models.

    Returns:
        Composer.
    """
    path, style = pretrained.resolve_style(model or pretrained.chosen())
    return Composer(models.load(path), style)


class Composer:
    """A model that composes.

    Args:
        model: PolyphonyModel.
        style: str. What it composes in where no style is wished for.
    """

    def __init__(self, model, style=""):
        self.model = model
        self.style = style
        self.composer = engine.Composer(model)

    def __repr__(self):
        style = self.style or " or ".join(self.styles)
        return f"<Composer who composes in {style}>"

    @property
    def styles(self):
        """The styles that `compose(style=...)` knows."""
        return self.model.config.styles

    def compose(self, bars=8, pieces=None, **wishes):
        """Composes.

        Args:
            bars: int. With `fix` and `redraw` the given music says how many.
            pieces: int, or None for one piece by itself.
            **wishes: of wishes.GenerationConfig: seed, temperature, style, key, density, ...;
                `primer` and `fix` are paths of music files, or Matrices.

        Returns:
            Composition; where `pieces` is given, a list of so many.
        """
        wanted = self._wishes(bars, pieces or 1, wishes)
        composed = [
            Composition(piece, self.model.config)
            for piece in self.composer.compose(wanted)
        ]
        return composed[0] if pieces is None else composed

    def stream(self, bars=8, **wishes):
        """Yields one piece bar by bar as it is drawn, uint8 [steps, pitch, 3]."""
        wanted = self._wishes(bars, 1, wishes)
        bar_steps = tasks.make(wanted, self.model.config).bar_steps
        left = np.zeros((0, self.model.config.num_pitches, 3), np.uint8)
        for chunk in self.composer.chunks(wanted):
            left = np.concatenate([left, chunk[0]])
            while len(left) >= bar_steps:
                yield left[:bar_steps]
                left = left[bar_steps:]

    def _wishes(self, bars, pieces, wishes):
        known = {field.name for field in dataclasses.fields(GenerationConfig)}
        known -= {"num_bars", "num_pieces"}  # here they are called bars and pieces
        for name, wish in wishes.items():
            if name not in known:
                raise InputError(
                    f"There is no wish {name!r}; there are {sorted(known)}."
                )
            if name in MUSIC and isinstance(wish, (str, os.PathLike)):
                wishes[name] = matrices.from_file(wish)
        return GenerationConfig(
            num_bars=bars, num_pieces=pieces, **{"style": self.style, **wishes}
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

    def __repr__(self):
        notes = np.count_nonzero(matrices.onsets(self.matrices.cells))
        return f"<Composition of {len(self.matrices)} steps, {notes} notes>"

    def save(self, path):
        """Writes .mid, .wav, .mp3, .png or .html, by the name's ending."""
        saving.save(self.matrices, path, **self._pitches)

    @property
    def sequence(self):
        """The piece as a NoteSequence."""
        return matrices.to_sequence(self.matrices)

    @property
    def _pitches(self):
        if self.config is None:
            return {}
        return {
            "min_pitch": self.config.min_pitch,
            "num_pitches": self.config.num_pitches,
        }

    def plot(self, path=None):
        """Draws the piano roll into a .png; without a path for a notebook to show."""
        if path is not None:
            return saving.save(self.matrices, path, **self._pitches)
        from IPython.display import Image

        picture = piano_roll.draw(self.matrices, **self._pitches)
        return Image(data=figures.to_png(picture), format="png")

    def play(self):
        """A player for a notebook (IPython.display.Audio)."""
        from IPython.display import Audio

        return Audio(data=audio.to_wav(audio.synthesize(self.sequence)))

    def _repr_html_(self):
        page = html_lib.page([html_lib.Piece("Composition", self.matrices)])
        text = html.escape(page, quote=True)
        return f'<iframe srcdoc="{text}" width="100%" height="420"></iframe>'
