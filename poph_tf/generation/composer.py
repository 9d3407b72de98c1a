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
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf import models
from poph_tf.cli import quiet
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config.declaration import check_names, current_names
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import light_engine
from poph_tf.generation.piece import Piece
from poph_tf.generation.request import Request
from poph_tf.models import pretrained

if TYPE_CHECKING:
    from poph_tf.generation.engine import Engine
    from poph_tf.generation.light_engine import LightEngine
    from poph_tf.models.polyphony_model import PolyphonyModel

Music = str | os.PathLike[str] | Matrices
DEFAULT_BARS = 8


def load(model: str | os.PathLike[str] | None = None) -> "Composer":
    """Loads a model for composing.

    Args:
        model: a directory that poph_tf.train wrote, a `.keras` file, the name of a
            pretrained model, or a style that one of them knows, in which it then
            composes. None: the default of the pretrained models.

    Raises:
        InputError: If there is no such model.
    """
    path, style = pretrained.resolve_style(model or pretrained.chosen())
    return Composer(path, style)


class Composer:
    """A model that composes.

    The options of all methods are the settings of `GenerationConfig`; music is the path
    of a file, or `Matrices`.

    Where the directory of a model also holds its converted form (`poph_tf.export
    --format=litert`; the pretrained models do), pieces are drawn without TensorFlow,
    except with particles. The pieces are the same.

    Args:
        model: what draws the notes, or the directory of a model.
        style: composes in this style unless another is given.
        jit_compile: whether TensorFlow draws, with XLA or without; None decides by
            what is there and by the length.

    Raises:
        InputError: If there is no such model.
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

    @functools.cached_property
    def model(self) -> "PolyphonyModel":
        """The model as Keras has it; TensorFlow is imported at its first use."""
        # 2 is what our commands set; another level says that its logs are wanted.
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2") == "2":
            quiet.import_tensorflow()
        return models.load(self._source)

    @functools.cached_property
    def _graph_engine(self) -> "Engine":
        from poph_tf.generation.engine import Engine

        return Engine(self.model, self._jit_compile)

    def engine(self, request: Request) -> "Engine | LightEngine":
        """What draws a request."""
        light = self._light and self._light.can(request)
        return self._light if self._light and light else self._graph_engine

    def __repr__(self) -> str:
        return f"<Composer in {self.style or ' or '.join(self.styles)}>"

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that the option `style` may name."""
        return self.config.styles

    def compose(
        self,
        num_bars: int = DEFAULT_BARS,
        num_pieces: int | None = None,
        **options: Any,
    ) -> Piece | list[Piece]:
        """Composes.

        Args:
            num_bars: new bars; with `fix` and `redraw` the given music decides.
            num_pieces: how many; None for one.
            **options: further settings of `GenerationConfig`.

        Returns:
            One piece, or a list if `num_pieces` is given.

        Raises:
            InputError: If an option is unknown, or does not fit the model.
        """
        options = {"num_bars": num_bars, "num_pieces": num_pieces, **options}
        options = current_names(GenerationConfig, options)
        request = self.resolve("compose", options)
        for change in request.task.changes:
            warnings.warn(change, UserWarning, stacklevel=2)
        drawn = self.engine(request).generate(request)
        pieces = [Piece(matrices, self.config) for matrices in drawn]
        return pieces[0] if options["num_pieces"] is None else pieces

    def continue_(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes bars that follow the music; see `compose`."""
        return self.compose(task="continue", music=music, **options)

    def harmonize(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes around a melody, a bass (`fix_as`) or tracks; see `compose`."""
        return self.compose(task="harmonize", music=music, **options)

    def accompany(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes the other tracks to a melody; see `compose`."""
        return self.compose(task="accompany", music=music, **options)

    def infill(self, music: Music, bars: str, **options: Any) -> Piece | list[Piece]:
        """Composes some bars of a piece anew, such as "9-12"; see `compose`."""
        return self.compose(task="infill", music=music, bars=bars, **options)

    def vary(self, music: Music, *tracks: str, **options: Any) -> Piece | list[Piece]:
        """Composes some tracks of a piece anew; see `compose`."""
        return self.compose(task="vary", music=music, draw=tracks, **options)

    def reharmonize(self, music: Music, **options: Any) -> Piece | list[Piece]:
        """Composes all but the melody of a piece anew; see `compose`."""
        return self.compose(task="reharmonize", music=music, **options)

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

    def resolve(self, method: str, options: dict[str, Any]) -> Request:
        """The request of a method that was called with options."""
        check_names(GenerationConfig, options, caller=f"{method}()")
        settings: dict[str, Any] = {"num_pieces": 1, "style": self.style}
        settings |= {
            name: value for name, value in options.items() if value is not None
        }
        return GenerationConfig(**settings).resolve(self.config)
