"""A piece: its notes, and how to cut, join, save, show and play them."""

import html
import io
import os
from typing import TYPE_CHECKING, Any, Self, cast

from poph_tf.config import ModelConfig
from poph_tf.data import bars, editing, midi
from poph_tf.data import matrices as matrices_lib
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.rendering import audio, figures, musicxml, piano_roll, saving
from poph_tf.rendering import html as html_lib

if TYPE_CHECKING:
    from IPython.display import Audio, Image
    from music21.stream import Score
    from note_seq.protobuf.music_pb2 import NoteSequence
    from pretty_midi import PrettyMIDI
    from symusic.core import ScoreTick

# The frame that shows one piece in a notebook.
_FRAME = '<iframe srcdoc="{}" width="100%" height="480" frameborder="0"></iframe>'


class Tracks(dict[str, "Piece"]):
    """The tracks of a piece by name, each as a piece."""

    def __missing__(self, name: str) -> "Piece":
        raise InputError(f"There is no track {name!r}; there are {', '.join(self)}.")


class Piece:
    """A piece of music; a notebook shows a player with its piano roll.

    It is a sequence of bars: `piece[4:8]` are four of them, `piece[0]` is the first (an
    upbeat counts as a bar), and `+` appends another piece.

    Args:
        matrices: its notes.
        config: the model's, for the pitches to show; None shows those that sound.

    Example:
        >>> import numpy as np
        >>> cells = np.zeros((32, 128, 3), np.uint8)
        >>> piece = Piece(Matrices(cells, np.arange(32) % 16))
        >>> piece, piece[1:]
        (<Piece of 2 bars, 0 notes>, <Piece of 1 bar, 0 notes>)
    """

    def __init__(self, matrices: Matrices, config: ModelConfig | None = None) -> None:
        self.matrices = matrices
        self.config = config

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Reads MIDI, MusicXML, MEI, ABC or Humdrum.

        Raises:
            MusicFileError: If the file cannot be read.
        """
        return cls(matrices_lib.from_file(os.fspath(path)))

    def __repr__(self) -> str:
        notes = int(matrices_lib.onsets(self.matrices.cells).sum())
        parts = [_count(self.num_bars, "bar"), _count(notes, "note")]
        parts += [f"in {self.key}"] * bool(self.key)
        return f"<Piece of {', '.join(parts)}>"

    @property
    def key(self) -> str:
        """The key given to the network, or stated in the file; empty if neither."""
        return self.matrices.key

    @property
    def num_bars(self) -> int:
        """The number of bars; an upbeat counts, and so does an incomplete last bar."""
        return len(bars.bar_edges(self.matrices.bar_position)) - 1

    def __len__(self) -> int:
        return self.num_bars

    def __getitem__(self, place: int | slice) -> "Piece":
        """One bar or several; notes held over a cut end or begin there."""
        if not isinstance(place, slice):
            # Raises IndexError beyond the end, so that a loop over a piece ends.
            bar = range(self.num_bars)[place]
            place = slice(bar, bar + 1)
        first, last, step = place.indices(self.num_bars)
        if step != 1:
            raise InputError(f"Bars are cut as piece[4:8], got a step of {step}.")
        return self._with(editing.cut(self.matrices, first, max(first, last)))

    def __add__(self, other: "Piece") -> "Piece":
        """This piece followed by another, in this piece's tempo."""
        return self._with(editing.join(self.matrices, other.matrices))

    def __eq__(self, other: object) -> bool:
        """Whether the notes, bar lines and tempo of two pieces are the same."""
        return isinstance(other, Piece) and self.matrices == other.matrices

    def transpose(self, semitones: int) -> "Piece":
        """The piece transposed by semitones, up or down; drums stay as they are.

        Raises:
            InputError: If a note would leave the range of MIDI pitches.
        """
        return Piece(editing.transpose(self.matrices, semitones))

    @property
    def tracks(self) -> Tracks:
        """The tracks by name, each a piece: `piece.tracks["bass"].play()`."""
        own = editing.by_name(self.matrices.tracks)
        return Tracks(
            {
                name: self._with(editing.only(self.matrices, track))
                for name, track in own.items()
            }
        )

    def _with(self, matrices: Matrices) -> "Piece":
        return Piece(matrices, self.config)

    def to_note_sequence(self) -> "NoteSequence":
        """The piece for note-seq and Magenta."""
        return matrices_lib.to_sequence(self.matrices)

    def to_midi(self) -> bytes:
        """The content of a MIDI file."""
        return midi.to_bytes(self.to_note_sequence())

    def to_pretty_midi(self) -> "PrettyMIDI":
        """The piece for pretty_midi."""
        import pretty_midi

        return pretty_midi.PrettyMIDI(io.BytesIO(self.to_midi()))

    def to_symusic(self) -> "ScoreTick":
        """The piece for symusic, and so for MidiTok (`pip install symusic`).

        Raises:
            InputError: If symusic is not installed.
        """
        try:
            import symusic
        except ImportError:
            raise InputError(
                "to_symusic() needs symusic: pip install symusic"
            ) from None
        return cast("ScoreTick", symusic.Score.from_midi(self.to_midi()))

    def to_music21(self) -> "Score":
        """The piece as a score of music21, spelled and beamed (extra `score`).

        Raises:
            InputError: If music21 is not installed.
        """
        return musicxml.to_music21(self.matrices)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file; the suffix of its name sets the format.

        .mid; a score as .musicxml, .pdf, .svg or .score.png; the piano roll as .png;
        audio as .wav or .mp3; a page with a player as .html.

        Raises:
            InputError: If the suffix is unknown, or something that the file needs is
                missing.
        """
        saving.save(self.matrices, path, **self._view)

    @property
    def _view(self) -> dict[str, Any]:
        if self.config is None:
            return {}
        return {
            "min_pitch": self.config.min_pitch,
            "num_pitches": self.config.num_pitches,
        }

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Image | None":
        """The piano roll as an image for a notebook, or written to `path` as .png."""
        if path is not None:
            self.save(path)
            return None
        return _image(figures.to_png(piano_roll.draw(self.matrices, **self._view)))

    def engrave(self) -> "Image":
        """The score as an image for a notebook (extra `score`)."""
        return _image(saving.render(self.matrices, saving.SCORE_PICTURE))

    def play(self) -> "Audio":
        """A player for a notebook."""
        from IPython.display import Audio

        return Audio(data=audio.to_wav(audio.synthesize(self.to_note_sequence())))

    def _repr_html_(self) -> str:
        name = _count(self.num_bars, "bar")
        shown = html_lib.Piece(name, self.matrices, midi=self.to_midi())
        page = html_lib.page([shown], self.matrices.title or "Composition")
        # The attribute holds everything: nothing is loaded, online or offline.
        return _FRAME.format(html.escape(page, quote=True))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _image(png: bytes | str) -> "Image":
    from IPython.display import Image

    return Image(data=png, format="png")
