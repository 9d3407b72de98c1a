"""Composing from Python or a notebook: load a model, compose, listen, look, save.

import poph_tf

bach = poph_tf.load("bach")  # a style or name of a pretrained model, or a directory
piece = bach.compose(num_bars=8, seed=1)
piece                        # a page with player and piano roll, in a notebook
piece.save("piece.mid")
four = bach.compose(num_bars=8, num_pieces=4)
harmonized = bach.harmonize("melody.mid")
for bar in bach.stream(num_bars=64):
    ...                      # uint8 [step, pitch, channel], as it is drawn
"""

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

import numpy as np

from poph_tf import models
from poph_tf.cli import progress, quiet
from poph_tf.config import GenerationConfig, ModelConfig, describe
from poph_tf.config.declaration import check_names, current_names
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import given_music, light_engine, publishing
from poph_tf.generation.piece import Piece
from poph_tf.generation.request import Request, unknown_style
from poph_tf.models import pretrained

if TYPE_CHECKING:
    from note_seq import NoteSequence

    from poph_tf.evaluation.inspection import Attention, Surprise
    from poph_tf.generation.engine import Engine
    from poph_tf.generation.light_engine import LightEngine
    from poph_tf.models.polyphony_model import PolyphonyModel

Path = str | os.PathLike[str]
Music: TypeAlias = "Path | Matrices | Piece | NoteSequence"
DEFAULT_BARS = 8
Method = TypeVar("Method", bound=Callable[..., Any])


def load(model: str | os.PathLike[str] | None = None) -> "Composer":
    """Loads a model for composing.

    Args:
        model: a directory that poph_tf.train wrote, a `.keras` file, the name of a
            pretrained model, or a style that one of them knows and then composes in.
            None: the default pretrained model.

    Raises:
        InputError: If there is no such model.

    Example:
        >>> load("scores").styles
        ('bach', 'monteverdi', 'ryansMammoth', 'trecento')
    """
    path, style = pretrained.resolve_style(model or pretrained.chosen())
    return Composer(path, style)


def _with_settings(method: Method) -> Method:
    """Lists the settings in a method's signature, for completion in notebooks."""
    signature = inspect.signature(method)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = {parameter.name for parameter in own}
    defaults = {"num_bars": DEFAULT_BARS, "num_pieces": None}
    settings = [
        inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(setting.name, setting.default),
            annotation=setting.type,
        )
        for setting in describe(GenerationConfig)
        if setting.name not in names
    ]
    made = signature.replace(parameters=[*own, *settings])
    # inspect and help read it; the type of functions lacks it.
    method.__signature__ = made  # type: ignore[attr-defined]
    return method


class Composer:
    """A model that composes.

    The options of all methods are the settings of `GenerationConfig`; music is a file
    path, a `Piece`, `Matrices` or a NoteSequence.

    If the directory of a model also holds its converted form (`poph_tf.export
    --format=litert`; the pretrained models have it), pieces are drawn without
    TensorFlow, except with particles. The pieces are the same.

    Args:
        model: the model that draws the notes, or its directory.
        style: the style to compose in unless another is given.
        jit_compile: True or False draws with TensorFlow, with or without XLA; None
            decides by the files of the model and the length.

    Raises:
        InputError: If there is no such model.

    Example:
        >>> piece = load("bach").compose(num_bars=2, seed=1, key="G major")
        >>> piece.num_bars, piece.key, list(piece.tracks)
        (2, 'G major', ['soprano', 'alto', 'tenor', 'bass'])
    """

    def __init__(
        self,
        model: "PolyphonyModel | str | os.PathLike[str]",
        style: str = "",
        jit_compile: bool | None = None,
    ) -> None:
        self.style = style
        self._source, self._jit_compile = model, jit_compile
        self._light: LightEngine | None = None
        if not isinstance(model, str | os.PathLike):
            self.model = model
        elif jit_compile is None and light_engine.is_there(model):
            self._light = light_engine.LightEngine(model)
        self.config: ModelConfig = (self._light or self.model).config

    @classmethod
    def from_pretrained(cls, name: Path) -> Self:
        """Loads a model like `load`: by folder, or by pretrained name or style.

        Raises:
            InputError: If there is no such model.
        """
        return cls(*pretrained.resolve_style(name))

    def save_pretrained(self, folder: Path) -> None:
        """Writes the model to its own folder, for `from_pretrained`.

        The folder gets `model.keras`, `config.json`, a card and the converted form, if
        there is one.

        Raises:
            InputError: If it cannot be written.
        """
        publishing.save(self._source, self.config, folder)

    @functools.cached_property
    def model(self) -> "PolyphonyModel":
        """The Keras model; TensorFlow is imported at its first use."""
        # Our commands set 2; any other level means that the user wants the logs.
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2") == "2":
            quiet.import_tensorflow()
        return models.load(self._source)

    @functools.cached_property
    def _graph_engine(self) -> "Engine":
        from poph_tf.generation.engine import Engine

        return Engine(self.model, self._jit_compile)

    def engine(self, request: Request) -> "Engine | LightEngine":
        """The engine that draws a request."""
        light = self._light and self._light.can(request)
        return self._light if self._light and light else self._graph_engine

    def __repr__(self) -> str:
        return f"<Composer in {self.style or ' or '.join(self.styles)}>"

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that the option `style` can name."""
        return self.config.styles

    @overload
    def compose(
        self, num_bars: int = ..., num_pieces: None = None, **options: Any
    ) -> Piece: ...
    @overload
    def compose(
        self, num_bars: int = ..., *, num_pieces: int, **options: Any
    ) -> list[Piece]: ...
    @overload
    def compose(
        self, num_bars: int, num_pieces: int, **options: Any
    ) -> list[Piece]: ...
    @_with_settings
    def compose(
        self,
        num_bars: int = DEFAULT_BARS,
        num_pieces: int | None = None,
        **options: Any,
    ) -> Piece | list[Piece]:
        """Composes pieces, from nothing or with given music.

        Args:
            num_bars: new bars; with `fix` and `redraw` the given music sets the length.
            num_pieces: how many pieces; None for one.
            **options: further settings of `GenerationConfig`.

        Returns:
            One piece, or a list if `num_pieces` is given.

        Raises:
            InputError: If an option is unknown or does not fit the model.
        """
        options = {"num_bars": num_bars, "num_pieces": num_pieces, **options}
        options = current_names(GenerationConfig, options)
        request = self.resolve("compose", options)
        for change in request.task.changes:
            warnings.warn(change, UserWarning, stacklevel=2)
        with progress.in_notebook(request.num_steps, "steps") as shown:
            drawn = self.engine(request).generate(request, shown.update)
        pieces = [Piece(matrices, self.config) for matrices in drawn]
        return pieces[0] if options["num_pieces"] is None else pieces

    @_with_settings
    def continue_(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes bars that follow the music; see `compose`."""
        return self.compose(task="continue", music=music, **options)

    @_with_settings
    def harmonize(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes around a melody, a bass (`fix_as`) or tracks; see `compose`."""
        return self.compose(task="harmonize", music=music, **options)

    @_with_settings
    def accompany(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes the other tracks for a melody; see `compose`."""
        return self.compose(task="accompany", music=music, **options)

    @_with_settings
    def infill(self, music: Music, bars: str, **options: Any) -> Piece | list[Piece]:
        """Redraws some bars of a piece, such as "9-12"; see `compose`."""
        return self.compose(task="infill", music=music, bars=bars, **options)

    @_with_settings
    def vary(self, music: Music, *tracks: str, **options: Any) -> Piece | list[Piece]:
        """Redraws some tracks of a piece; see `compose`."""
        return self.compose(task="vary", music=music, draw=tracks, **options)

    @_with_settings
    def reharmonize(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Redraws all but the melody of a piece; see `compose`."""
        return self.compose(task="reharmonize", music=music, **options)

    @_with_settings
    def stream(
        self, num_bars: int = DEFAULT_BARS, **options: Any
    ) -> Iterator[np.ndarray]:
        """Yields one piece bar by bar, uint8 [step, (track,) pitch, channel].

        Raises:
            InputError: Like `compose`, and if the piece is chosen from candidates.
        """
        options = current_names(GenerationConfig, {"num_bars": num_bars, **options})
        if options.get("num_pieces") not in (None, 1):
            raise InputError(
                f"stream() composes one piece, got num_pieces={options['num_pieces']}."
            )
        request = self.resolve("stream", options)
        bar_steps = request.task.bar_steps
        drawn = np.zeros(0, np.uint8)
        for (chunk,) in self.engine(request).stream(request):
            drawn = np.concatenate([drawn, chunk]) if len(drawn) else chunk
            while len(drawn) >= bar_steps:
                yield drawn[:bar_steps]
                drawn = drawn[bar_steps:]

    def score(self, music: Music, style: str = "") -> "Surprise":
        """How much each note of a piece surprises the model; imports TensorFlow.

        Args:
            music: the piece.
            style: one of the model's; by default this composer's, or the most common.

        Raises:
            InputError: If the music cannot be read, or lacks a track of the model.
        """
        model = self.model  # Imports TensorFlow without its messages.
        from poph_tf.evaluation import inspection

        return inspection.surprise(model, *self._read(music, style))

    def attention(self, music: Music, style: str = "") -> "Attention":
        """What the model attends to while it reads a piece; see `score`.

        Raises:
            InputError: Like `score`, and if the model has no attention along time.
        """
        model = self.model  # Imports TensorFlow without its messages.
        from poph_tf.evaluation import inspection

        return inspection.attention(model, *self._read(music, style))

    def _read(self, music: Music, style: str) -> tuple[Matrices, str]:
        """A piece on the grid, and the style to read it with."""
        shares = self.config.style_shares
        usual = self.styles[int(np.argmax(shares))]
        music, changes = given_music.read(_plain(music), self.config.tracks)
        for change in (*changes, *given_music.left_out(music, self.config)):
            warnings.warn(change, UserWarning, stacklevel=3)
        chosen = style or self.style or usual
        number = self.config.style_number(chosen)
        if number is None:
            raise unknown_style(chosen, self.config)
        return music, self.styles[number]

    def resolve(self, method: str, options: dict[str, Any]) -> Request:
        """The request for a method that was called with options."""
        check_names(GenerationConfig, options, caller=f"{method}()")
        settings: dict[str, Any] = {"num_pieces": 1, "style": self.style}
        settings |= {
            name: _plain(value) for name, value in options.items() if value is not None
        }
        return GenerationConfig(**settings).resolve(self.config)


def _plain(value: Any) -> Any:
    """The matrices of a piece; anything else as it is."""
    return value.matrices if isinstance(value, Piece) else value
