"""What all engines share: resolve, draw in chunks, stream, choose candidates."""

import abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np

from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import candidates
from poph_tf.generation.request import Request

Progress = Callable[[int], object]
# Where the rows of a chunk came from, and the state after it.
Origins = TypeVar("Origins")
State = TypeVar("State")


class BaseEngine(abc.ABC, Generic[Origins, State]):
    """Draws requests with one model.

    Attributes:
        config: the model's settings.
    """

    config: ModelConfig

    @abc.abstractmethod
    def _draw(
        self, request: Request, streamed: bool
    ) -> Iterator[tuple[np.ndarray, Origins, State]]:
        """Yields chunks: cells uint8 [row, step, (track,) pitch, channel], and more."""

    @abc.abstractmethod
    def _finish(
        self,
        chunks: list[tuple[np.ndarray, Origins]],
        state: State,
        request: Request,
    ) -> list[Matrices]:
        """The pieces of all chunks, given the state after the last chunk."""

    def compose(
        self, config: GenerationConfig, progress: Progress | None = None
    ) -> list[Matrices]:
        """Resolves settings and draws the pieces; see `generate`."""
        return self.generate(config.resolve(self.config), progress)

    def generate(
        self, request: Request, progress: Progress | None = None
    ) -> list[Matrices]:
        """Draws whole pieces.

        Args:
            request: what to draw.
            progress: called with the number of steps drawn so far.

        Returns:
            The pieces, canonical.
        """
        chunks, drawn = [], 0
        for chunk in self._draw(request, streamed=False):
            cells, origins, state = chunk
            chunks.append((cells, origins))
            drawn += cells.shape[1]
            if progress:
                progress(drawn)
        return self._finish(chunks, state, request)

    def stream(self, request: Request) -> Iterator[np.ndarray]:
        """Yields the new steps as they are drawn, uint8 [piece, step, pitch, channel].

        Raises:
            InputError: If pieces are chosen among several rows at the end.
        """
        if request.rows_per_piece > 1:
            raise InputError("Streaming requires best_of=1 and no particles.")
        left = request.task.num_kept
        for cells, _, _ in self._draw(request, streamed=True):
            yield cells[:, :left]
            left = max(left - cells.shape[1], 0)

    def _pieces(
        self, cells: np.ndarray, likelihood: Any, request: Request
    ) -> list[Matrices]:
        """Chooses among candidates, if there are any, and turns rows into pieces.

        Args:
            cells: uint8 [row, step, (track,) pitch, channel].
            likelihood: float32 [row], of candidates.
            request: the request they were drawn for.
        """
        task, low = request.task, self.config.min_pitch
        rows = np.arange(len(cells))
        if request.num_candidates > 1:
            kept = cells[:, : task.num_kept]
            rows = candidates.best(kept, likelihood, request, low)
        return [
            dataclasses.replace(
                task.assemble(cells[row], low), key=request.key(int(row))
            )
            for row in rows
        ]
