"""Draws one piece step by step while it is played.

Nothing is known about later steps: there is no look-ahead and no number of bars left. A
step that turns out differently can be taken back and replaced.
"""

from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.errors import InputError
from poph_tf.generation.light_engine import LightEngine, Slice
from poph_tf.generation.light_step import STATE
from poph_tf.generation.request import Request

# Steps from whose notes the key is found, if the network reads it: 16 bars of 4/4.
KEY_STEPS = 256
TO_CELLS = np.array([1.0, 1.0, 127.0], np.float32)


class Stepper:
    """One piece while it is being drawn.

    Args:
        engine: draws the steps.
        request: a request to compose, for its controls. Its chords repeat in turn.

    Raises:
        InputError: If the style changes along the piece.
    """

    def __init__(self, engine: LightEngine, request: Request) -> None:
        if len(request.styles) > 1:
            raise InputError("Live play takes one style, or a mixture of them.")
        self._engine, self._chords = engine, request.chords
        self._controls = request.controls
        self._has_tracks = bool(engine.config.tracks)
        self._state = self._before = engine.zero_state()
        self._step = 0
        self._finds_key = engine.config.key and request.controls.key is None
        # The notes given in each step, [pitch].
        self._given: list[np.ndarray] = []

    def step(self, bar_position: int, clamped: np.ndarray | None = None) -> np.ndarray:
        """Draws the free cells of the next step.

        Args:
            bar_position: steps since the bar line.
            clamped: float32 [track, pitch, 4], see `constraints.py`; one track in
                models without tracks. None: all cells are free.

        Returns:
            uint8 [track, pitch, 3].
        """
        by_step: dict[str, Any] = {"bar_position": np.array([[bar_position]], np.int32)}
        if clamped is not None:
            cells = clamped if self._has_tracks else clamped[0]
            by_step["constraints"] = cells[None, None]
        if self._chords is not None:
            chord = self._chords[self._step % len(self._chords)]
            by_step["pitch_bias"] = chord[None, None]
        steps = np.array([self._step])
        numbers = self._engine.numbers(self._controls.seed[0], steps)
        if self._finds_key:
            by_step["key"] = np.array([self._key()], np.int32)
        given = np.zeros(self._engine.config.num_pitches, bool)
        if clamped is not None:
            # Free cells, and pitches given as silent, are not notes.
            given |= (clamped[..., :2] > 0).all(axis=-1).any(axis=0)
        self._given.append(given)
        controls = self._controls._replace(numbers=numbers[None], **by_step)
        self._before = self._state
        one = Slice(self._engine, self._state, controls, 0, 1)
        (((cells,), self._state),) = self._engine.draw([one])
        self._step += 1
        return cells if self._has_tracks else cells[None]

    def _key(self) -> int:
        """The key of the notes given lately."""
        if not self._given:
            return theory.UNKNOWN
        play = np.array(self._given[-KEY_STEPS:])
        return theory.find_key(play, self._engine.config.min_pitch, ended=False)

    def correct(
        self, bar_position: int, clamped: np.ndarray, given: np.ndarray
    ) -> None:
        """Replaces the last step with what really sounded.

        Args:
            bar_position: bar position of that step.
            clamped: float32 [track, pitch, 4], without free cells.
            given: bool [track], the tracks that were given, not drawn.
        """
        self.take_back()
        self.step(bar_position, clamped)
        if self._has_tracks:
            self._state = {
                **self._state,
                f"{STATE}_given": given[None].astype(np.float32),
            }

    def take_back(self) -> None:
        """Forgets the last step; only one can be taken back."""
        self._state = self._before
        self._step -= 1
        del self._given[-1]
