"""Tasks: which steps are prefilled, which are drawn, and where they go in the piece.

continue_    new bars after a primer, or from silence
harmonize    all steps around clamped notes
infill       some bars of a piece, between the bars that are kept
"""

import dataclasses
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config.generation import is_path
from poph_tf.data import matrices
from poph_tf.data.matrices import Matrices
from poph_tf.generation import constraints

DEFAULT_TEMPO_QPM = 120.0
DEFAULT_SIGNATURE = (4, 4)
NOTHING = Matrices(np.zeros((0, 128, 3), np.uint8), np.zeros(0, np.uint8))


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """The steps of a request; the same for all of its pieces.

    Attributes:
        bar_position: uint8 [step], of the steps to draw.
        bar_steps: steps of a bar where they begin.
        num_kept: how many of the drawn steps the piece keeps, from the first on.
        time_signatures: (step, numerator, denominator) of the whole piece.
        tempo_qpm: quarter notes per minute.
        clamped: float32 [step, pitch, 4], see `constraints.py`; None clamps no cell.
        prefill: music before the first drawn step, which the network reads.
        keep_prefill: whether the piece begins with it.
        after: music that follows the drawn steps in the piece.
    """

    bar_position: np.ndarray
    bar_steps: int
    num_kept: int
    time_signatures: tuple[tuple[int, int, int], ...]
    tempo_qpm: float
    clamped: np.ndarray | None = None
    prefill: Matrices = dataclasses.field(default_factory=lambda: NOTHING)
    keep_prefill: bool = True
    after: Matrices = dataclasses.field(default_factory=lambda: NOTHING)

    @property
    def num_steps(self) -> int:
        """Steps to draw."""
        return len(self.bar_position)

    def assemble(self, drawn: np.ndarray, min_pitch: int) -> Matrices:
        """Puts drawn steps where they belong.

        Args:
            drawn: uint8 [step, pitch, channel], pitches from `min_pitch` on.
            min_pitch: MIDI pitch of the first.

        Returns:
            The whole piece, canonical.
        """
        cells = np.zeros((self.num_kept, 128, 3), np.uint8)
        cells[:, min_pitch : min_pitch + drawn.shape[1]] = drawn[: self.num_kept]
        new = Matrices(cells, self.bar_position[: self.num_kept])
        parts = [self.prefill] * self.keep_prefill + [new, self.after]
        whole = Matrices(
            cells=np.concatenate([part.cells for part in parts]),
            bar_position=np.concatenate([part.bar_position for part in parts]),
            tempo_qpm=float(self.tempo_qpm),
            time_signatures=self.time_signatures,
        )
        # Without its primer a piece can begin in the middle of a held note.
        return matrices.canonical(whole)


def from_config(config: GenerationConfig, model: ModelConfig) -> Task:
    """The task that the settings describe; reads the given music.

    Raises:
        InputError: If the settings, the given music and the model do not fit together.
    """
    primer, fixed = _read(config.primer), _read(config.fix)
    if config.redraw:
        task = infill(primer, config.redraw, config.redraw_lookahead, model)
    elif config.fix is not None:
        task = harmonize(fixed, config.fix_as, model)
    else:
        names = ("num_bars", "from_bar", "keep_primer", "metre")
        task = continue_(primer, **{name: getattr(config, name) for name in names})
    tempo_qpm = config.tempo_qpm or task.tempo_qpm
    return dataclasses.replace(task, tempo_qpm=tempo_qpm)


def _read(music: Any) -> Matrices:
    if music is None:
        return NOTHING
    return matrices.from_file(music) if is_path(music) else music


def continue_(
    primer: Matrices,
    num_bars: int,
    *,
    from_bar: int = 0,
    keep_primer: bool = True,
    metre: str = "",
) -> Task:
    """New bars after a primer.

    Args:
        primer: the music to continue; `NOTHING` starts from silence.
        num_bars: how many.
        from_bar: the first new bar, which cuts the primer; 0: after its last step.
        keep_primer: whether the piece begins with the primer.
        metre: time signature of the new bars; empty: the primer's, or 4/4.
    """
    before = _before_bar(primer, from_bar) if from_bar else primer
    signatures = before.time_signatures
    signature = theory.read_metre(metre) if metre else _last_signature(before)
    bar_steps, first = _bar_steps(signature), 0
    if len(before) and not metre:
        first = (int(before.bar_position[-1]) + 1) % bar_steps
    num_before = len(before) if keep_primer else 0
    if not num_before or not signatures:
        signatures = ((0, *signature),)
    elif metre:
        signatures = (*signatures, (num_before, *signature))
    num_steps = num_bars * bar_steps
    bar = np.roll(np.arange(bar_steps).astype(np.uint8), -first)
    return Task(
        bar_position=np.resize(bar, num_steps),
        bar_steps=bar_steps,
        num_kept=num_steps,
        time_signatures=signatures,
        tempo_qpm=primer.tempo_qpm if len(primer) else DEFAULT_TEMPO_QPM,
        prefill=before,
        keep_prefill=keep_primer,
    )


def harmonize(fixed: Matrices, voice: constraints.Voice, model: ModelConfig) -> Task:
    """Draws around the notes of `fixed`, to the end of their last bar."""
    piece = _whole_bars(fixed)
    return Task(
        bar_position=piece.bar_position,
        bar_steps=_bar_steps(_last_signature(piece)),
        num_kept=len(piece),
        time_signatures=piece.time_signatures,
        tempo_qpm=piece.tempo_qpm,
        clamped=constraints.clamp_notes(piece.cells, model, voice),
    )


def infill(piece: Matrices, bars: str, lookahead: int, model: ModelConfig) -> Task:
    """Draws some bars of a piece anew and keeps the rest.

    Args:
        piece: the whole piece.
        bars: such as "9-12", counted from 1.
        lookahead: clamped bars after them that weight what is drawn.
        model: configuration of the model.
    """
    start, stop = constraints.steps_of_bars(piece, bars)
    starts = constraints.bar_starts(piece)
    seen = starts[starts >= stop][: lookahead + 1][-1]
    clamped = constraints.clamp_all(piece.cells, model)[start:seen]
    clamped[: stop - start] = 0.0
    after = _steps(piece, slice(stop, None), cells=piece.cells[stop:].copy())
    # A note that begins here becomes a replay if the new bars sound on. In the first
    # step a replay of what did not sound is dropped when the piece is made canonical.
    after.cells[:1, :, 1] = matrices.onsets(piece.cells)[stop : stop + 1]
    return Task(
        bar_position=piece.bar_position[start:seen],
        bar_steps=_bar_steps(_last_signature(piece)),
        num_kept=stop - start,
        time_signatures=piece.time_signatures,
        tempo_qpm=piece.tempo_qpm,
        clamped=clamped,
        prefill=_steps(piece, slice(start)),
        after=after,
    )


def _steps(piece: Matrices, steps: slice, **changed: Any) -> Matrices:
    cut = {"cells": piece.cells[steps], "bar_position": piece.bar_position[steps]}
    return dataclasses.replace(piece, **(cut | changed))


def _before_bar(piece: Matrices, bar: int) -> Matrices:
    stop = constraints.steps_before_bar(piece, bar)
    early = tuple(s for s in piece.time_signatures if s[0] < max(stop, 1))
    return _steps(piece, slice(stop), time_signatures=early)


def _whole_bars(piece: Matrices) -> Matrices:
    """The piece with silence up to the end of its last bar."""
    bar_steps = _bar_steps(_last_signature(piece))
    position = int(piece.bar_position[-1]) if len(piece) else bar_steps - 1
    missing = np.arange(position + 1, max(bar_steps, position + 1)).astype(np.uint8)
    return dataclasses.replace(
        piece,
        cells=np.pad(piece.cells, ((0, len(missing)), (0, 0), (0, 0))),
        bar_position=np.append(piece.bar_position, missing),
    )


def _last_signature(piece: Matrices) -> tuple[int, int]:
    signatures = piece.time_signatures
    return signatures[-1][1:] if signatures else DEFAULT_SIGNATURE


def _bar_steps(signature: tuple[int, int]) -> int:
    numerator, denominator = signature
    steps = numerator * 4 * matrices.STEPS_PER_QUARTER
    return max(round(steps / denominator), 1)
