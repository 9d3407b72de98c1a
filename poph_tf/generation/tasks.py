"""Tasks: which steps are prefilled, which are drawn, and where they belong.

continue_    new bars after a primer, or from silence
harmonize    all steps around clamped notes
infill       some bars of a piece, between the bars that are kept

For models with tracks see `track_tasks.py`; there, music has an axis of tracks: `cells`
are [step, track, 128, channel].
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.config import GenerationConfig, ModelConfig, Track
from poph_tf.data import credits, matrices
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import arrangement, constraints, given_music

DEFAULT_TEMPO_QPM = 120.0
DEFAULT_SIGNATURE = (4, 4)
# What the tasks do to the given music.
_DONE = {
    "continue": "Continued",
    "harmonize": "Harmonized",
    "accompany": "Accompanied",
    "infill": "Completed",
    "vary": "Varied",
    "reharmonize": "Reharmonized",
}
_PROGRAM = "poph_tf"
NOTHING = Matrices(np.zeros((0, 128, 3), np.uint8), np.zeros(0, np.uint8))


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """The steps of a request; the same for all its pieces.

    Attributes:
        bar_position: uint8 [step], of the steps to draw.
        bar_steps: steps per bar where they begin.
        num_kept: how many of the drawn steps the piece keeps, from the first.
        time_signatures: (step, numerator, denominator) of the whole piece.
        tempo_qpm: quarter notes per minute.
        clamped: float32 [step, (track,) pitch, 4], see `constraints.py`; None clamps
            no cell.
        prefill: music before the first drawn step, which the network reads.
        keep_prefill: whether the piece begins with it.
        after: music that follows the drawn steps in the piece.
        tracks: those of the model, if it has any.
        bars_left: int32 [whole step] of the whole piece, prefill included: bars from
            the step's bar to the last, 0 in the last bar, -1 unknown.
        given: float32 [whole step, track, pitch, 4], clamped cells of the whole piece,
            for the look-ahead of the network; None: there are none.
        changes: what was changed in the given music, one sentence each.
        ritardando: that of the piece, see `Matrices`.
        credits: its title, composer and arranger, if known.
        key: that of the given music, as in `Matrices`.
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
    tracks: tuple[Track, ...] = ()
    bars_left: np.ndarray | None = None
    given: np.ndarray | None = None
    changes: tuple[str, ...] = ()
    ritardando: float = 0.0
    credits: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"composer": _PROGRAM}
    )
    key: str = ""

    @property
    def num_steps(self) -> int:
        """Steps to draw."""
        return len(self.bar_position)

    @property
    def whole_bar_position(self) -> np.ndarray:
        """int32 [whole step], of the whole piece, prefill included."""
        parts = (self.prefill, self, self.after)
        bars = np.concatenate([part.bar_position for part in parts])
        return bars.astype(np.int32)

    def assemble(self, drawn: np.ndarray, min_pitch: int) -> Matrices:
        """Puts drawn steps where they belong.

        Args:
            drawn: uint8 [step, (track,) pitch, channel], pitches from `min_pitch` on.
            min_pitch: MIDI number of the first pitch.

        Returns:
            The whole piece, canonical.
        """
        *tracks, num_pitches, channels = drawn.shape[1:]
        cells = np.zeros((self.num_kept, *tracks, 128, channels), np.uint8)
        seen = slice(min_pitch, min_pitch + num_pitches)
        cells[..., seen, :] = drawn[: self.num_kept]
        new = Matrices(cells, self.bar_position[: self.num_kept])
        parts = [self.prefill] * self.keep_prefill + [new, self.after]
        cells = np.concatenate([part.cells for part in parts if len(part)])
        bars = np.concatenate([part.bar_position for part in parts])
        fields: dict[str, Any] = {
            "tempo_qpm": float(self.tempo_qpm),
            "time_signatures": self.time_signatures,
            "ritardando": self.ritardando,
            **self.credits,
        }
        if self.tracks:
            return matrices.from_stack(cells, self.tracks, bars, **fields)
        # A piece without its primer can begin in the middle of a held note.
        return matrices.canonical(Matrices(cells, bars, **fields))


def from_config(config: GenerationConfig, model: ModelConfig) -> Task:
    """The task that the settings describe; reads the given music.

    Raises:
        InputError: If the settings, the given music and the model do not fit together.
    """
    if config.kind not in ("compose", "continue", "harmonize", "accompany", "infill"):
        raise InputError(f"The task {config.kind} needs a model with tracks.")
    for name in ("given", "draw", "map", "steps"):
        if getattr(config, name):
            raise InputError(f"{name} is for tracks, but the model has none.")
    if config.bars_to_draw and config.kind != "infill":
        raise InputError(f"The task {config.kind} has no bars without tracks.")
    music, changes = NOTHING, list[str]()
    if config.source is not None:
        music, changes = _read(config, model)
    if config.kind == "infill":
        task = infill(music, config.bars_to_draw, config.redraw_lookahead, model)
    elif config.kind in ("harmonize", "accompany"):
        task = harmonize(music, config.fix_as, model)
    else:
        task = continue_(music, **continued_by(config))
    task = dataclasses.replace(
        task, tempo_qpm=config.tempo_qpm or task.tempo_qpm, changes=tuple(changes)
    )
    return task if config.source is None else credited(task, music, config.kind)


def _read(config: GenerationConfig, model: ModelConfig) -> tuple[Matrices, list[str]]:
    """The given music as one track, and what was changed, one sentence each.

    Notes kept within the piece must be among the model's pitches; those before need
    not be.
    """
    music, changes = given_music.read(config.source)
    music, joined = given_music.as_one_part(music)
    if config.kind not in ("harmonize", "accompany"):
        return music, [*changes, *joined, *given_music.left_out(music, model)]
    given_music.require_notes(music, changes)
    cells, moved = arrangement.within_range(music.cells[:, None], model)
    return dataclasses.replace(music, cells=cells[:, 0]), [*changes, *joined, *moved]


def credited(task: Task, music: Matrices, kind: str) -> Task:
    """The task with the title, composer and key of the given music."""
    said = credits.of(music)
    if _PROGRAM not in music.composer + music.arranger:
        names = filter(None, [music.arranger, f"{_DONE[kind]} by {_PROGRAM}"])
        said["arranger"] = "; ".join(names)
    return dataclasses.replace(task, credits=said, key=music.key)


def continued_by(config: GenerationConfig) -> dict[str, Any]:
    """The settings that `continue_` takes."""
    names = ("num_bars", "from_bar", "keep_primer", "metre")
    return {name: getattr(config, name) for name in names}


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
        num_bars: number of bars.
        from_bar: the first new bar, where the primer is cut; 0: after its last step.
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
    piece = whole_bars(fixed)
    clamped = constraints.clamp_notes(piece.cells, model, voice)
    return draw_within(piece, 0, len(piece), clamped)


def infill(piece: Matrices, bars: str, lookahead: int, model: ModelConfig) -> Task:
    """Redraws some bars of a piece and keeps the rest.

    Args:
        piece: the whole piece.
        bars: such as "9-12", counted from 1.
        lookahead: number of clamped bars after them that weight what is drawn.
        model: configuration of the model.
    """
    start, stop = constraints.steps_of_bars(piece, bars)
    starts = constraints.bar_starts(piece)
    seen = starts[starts >= stop][: lookahead + 1][-1]
    clamped = constraints.clamp_all(piece.cells, model)[start:seen]
    clamped[: stop - start] = 0.0
    return draw_within(piece, start, stop, clamped)


def draw_within(piece: Matrices, start: int, stop: int, clamped: np.ndarray) -> Task:
    """Draws the free cells of some steps of a piece and keeps the steps around them.

    Args:
        piece: the whole piece.
        start: the first of the steps.
        stop: the step after their last.
        clamped: float32 [step, (track,) pitch, 4], from `start` to `stop`, or beyond it
            to weight what is drawn.
    """
    return Task(
        bar_position=piece.bar_position[start : start + len(clamped)],
        bar_steps=last_bar_steps(piece),
        num_kept=stop - start,
        time_signatures=piece.time_signatures,
        tempo_qpm=piece.tempo_qpm,
        clamped=clamped,
        prefill=some_steps(piece, slice(start)),
        after=steps_from(piece, stop),
    )


def some_steps(piece: Matrices, steps: slice, **changed: Any) -> Matrices:
    """The piece cut to some of its steps."""
    cut = {"cells": piece.cells[steps], "bar_position": piece.bar_position[steps]}
    return dataclasses.replace(piece, **(cut | changed))


def steps_from(piece: Matrices, stop: int) -> Matrices:
    """The rest of a piece, to follow drawn steps.

    A note that begins there becomes a replay if the drawn steps sound on. If its pitch
    did not sound before, that replay is dropped when the piece is made canonical.
    """
    after = some_steps(piece, slice(stop, None), cells=piece.cells[stop:].copy())
    after.cells[:1, ..., 1] = matrices.onsets(piece.cells)[stop : stop + 1]
    return after


def _before_bar(piece: Matrices, bar: int) -> Matrices:
    stop = constraints.steps_before_bar(piece, bar)
    early = tuple(s for s in piece.time_signatures if s[0] < max(stop, 1))
    return some_steps(piece, slice(stop), time_signatures=early)


def whole_bars(piece: Matrices) -> Matrices:
    """The piece with silence up to the end of its last bar."""
    bar_steps = last_bar_steps(piece)
    position = int(piece.bar_position[-1]) if len(piece) else bar_steps - 1
    missing = np.arange(position + 1, max(bar_steps, position + 1)).astype(np.uint8)
    silence = np.zeros((len(missing), *piece.cells.shape[1:]), np.uint8)
    return dataclasses.replace(
        piece,
        cells=np.concatenate([piece.cells, silence]),
        bar_position=np.append(piece.bar_position, missing),
    )


def _last_signature(piece: Matrices) -> tuple[int, int]:
    signatures = piece.time_signatures
    return signatures[-1][1:] if signatures else DEFAULT_SIGNATURE


def last_bar_steps(piece: Matrices) -> int:
    """Steps per bar in the last time signature of a piece."""
    return _bar_steps(_last_signature(piece))


def _bar_steps(signature: tuple[int, int]) -> int:
    numerator, denominator = signature
    steps = numerator * 4 * matrices.STEPS_PER_QUARTER
    return max(round(steps / denominator), 1)
