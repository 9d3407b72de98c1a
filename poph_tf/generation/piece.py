"""A composed piece: its notes, and how to save, show and play them."""

import html
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf.config import ModelConfig
from poph_tf.data import matrices as matrices_lib
from poph_tf.data.matrices import Matrices
from poph_tf.rendering import audio, figures, piano_roll, saving
from poph_tf.rendering import html as html_lib

if TYPE_CHECKING:
    from IPython.display import Audio, Image
    from note_seq.protobuf.music_pb2 import NoteSequence


class Piece:
    """A composed piece; a notebook shows a player with its piano roll.

    Args:
        matrices: its notes.
        config: of the model, for the pitches to show; None shows those that sound.

    Example:
        >>> Piece(Matrices(np.zeros((16, 128, 3), np.uint8), np.arange(16)))
        <Piece of 16 steps, 0 notes>
    """

    def __init__(self, matrices: Matrices, config: ModelConfig | None = None) -> None:
        self.matrices = matrices
        self._view: dict[str, Any] = {}
        if config is not None:
            self._view["min_pitch"] = config.min_pitch
            self._view["num_pitches"] = config.num_pitches

    def __repr__(self) -> str:
        notes = np.count_nonzero(matrices_lib.onsets(self.matrices.cells))
        return f"<Piece of {len(self.matrices)} steps, {notes} notes>"

    @property
    def sequence(self) -> "NoteSequence":
        """The piece as a NoteSequence."""
        return matrices_lib.to_sequence(self.matrices)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file: .mid, .musicxml, .pdf or .svg (a score), .png, .wav, .html.

        Raises:
            InputError: If the suffix is another, or what the file needs is missing.
        """
        saving.save(self.matrices, path, **self._view)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Image | None":
        """The piano roll as an image for a notebook, or written to `path` as .png."""
        if path is not None:
            self.save(path)
            return None
        from IPython.display import Image

        picture = piano_roll.draw(self.matrices, **self._view)
        return Image(data=figures.to_png(picture), format="png")

    def play(self) -> "Audio":
        """A player for a notebook."""
        from IPython.display import Audio

        return Audio(data=audio.to_wav(audio.synthesize(self.sequence)))

    def _repr_html_(self) -> str:
        page = html_lib.page([html_lib.Piece("Composition", self.matrices)])
        text = html.escape(page, quote=True)
        return f'<iframe srcdoc="{text}" width="100%" height="420"></iframe>'
