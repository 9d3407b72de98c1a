"""Plans: what is heard, drawn, and kept, of pieces to be composed.

A plan puts four wishes into one form: a piece from silence, one that goes on from a
primer, one around given notes, and one of which some bars are drawn anew.

    heard        steps that the network hears first
    drawn        the steps drawn, with bar positions and given cells
    kept         how many of them the piece has
    before, after    steps of the given music that stand around them in the piece
"""

import dataclasses

import numpy as np

from poph_tf import theory
from poph_tf.config.generation import is_path
from poph_tf.data import matrices
from poph_tf.generation import constraints

DEFAULT_TEMPO_QPM = 120.0
DEFAULT_METRE = (4, 4)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one call draws; the same for all pieces but their seeds.

    Args:
        heard: (uint8 [time, 128, 3], uint8 [time]), cells and bar positions.
        bar_position: uint8 [steps], of the steps to draw.
        bar_steps: int. Steps of a bar where they begin.
        cells: float32 [steps, pitch, 4], what is given (see given.py); None: nothing.
        kept: int. Steps drawn that the piece keeps.
        before, after: like `heard`.
        time_signatures: tuple of (step, numerator, denominator), of the whole piece.
        tempo_qpm: float.
    """

    heard: tuple
    bar_position: np.ndarray
    bar_steps: int
    cells: np.ndarray | None
    kept: int
    before: tuple
    after: tuple
    time_signatures: tuple
    tempo_qpm: float

    @property
    def num_steps(self):
        """Steps to draw."""
        return len(self.bar_position)

    def piece(self, drawn, min_pitch):
        """Puts drawn steps where they belong.

        Args:
            drawn: uint8 [steps, pitch, 3], pitches from `min_pitch` on.
            min_pitch: int.

        Returns:
            Matrices, canonical.
        """
        cells = np.zeros((self.kept, 128, 3), np.uint8)
        cells[:, min_pitch : min_pitch + drawn.shape[1]] = drawn[: self.kept]
        bars = self.bar_position[: self.kept]
        whole = np.concatenate([self.before[0], cells, self.after[0]])
        # Without its primer a piece can begin in the middle of a held note.
        return matrices.canonical(
            matrices.Matrices(
                cells=whole,
                bar_position=np.concatenate([self.before[1], bars, self.after[1]]),
                tempo_qpm=float(self.tempo_qpm),
                time_signatures=self.time_signatures,
            )
        )


def make(wishes, config):
    """Plans what to draw.

    Args:
        wishes: GenerationConfig.
        config: ModelConfig.

    Returns:
        Plan.

    Raises:
        InputError: If the wishes do not fit the given music, or it not the model.
    """
    wishes = dataclasses.replace(
        wishes, primer=_read(wishes.primer), fix=_read(wishes.fix)
    )
    if wishes.redraw:
        return _redraw(wishes, config)
    if wishes.fix is not None:
        return _around(wishes, config)
    return _onward(wishes)


def _read(music):
    return matrices.from_file(music) if is_path(music) else music


def _onward(wishes):
    """From silence, or on from a primer."""
    primer = wishes.primer
    if primer is not None and wishes.from_bar:
        primer = first_steps(
            primer, constraints.steps_before_bar(primer, wishes.from_bar)
        )
    heard, first, signatures = _nothing(), 0, ()
    metre = theory.read_metre(wishes.metre) if wishes.metre else DEFAULT_METRE
    if primer is not None:
        heard = (primer.cells, primer.bar_position)
        signatures = primer.time_signatures
        if not wishes.metre:
            metre = signatures[-1][1:] if signatures else DEFAULT_METRE
    bar_steps = _bar_steps(metre)
    if len(heard[1]) and not wishes.metre:
        first = (int(heard[1][-1]) + 1) % bar_steps
    before = heard if wishes.keep_primer else _nothing()
    if not len(before[0]) or not signatures:
        signatures = ((0, *metre),)
    elif wishes.metre:
        signatures = (*signatures, (len(before[0]), *metre))
    num_steps = wishes.num_bars * bar_steps
    return Plan(
        heard=heard,
        bar_position=_counted(first, num_steps, bar_steps),
        bar_steps=bar_steps,
        cells=None,
        kept=num_steps,
        before=before,
        after=_nothing(),
        time_signatures=signatures,
        tempo_qpm=_tempo(wishes, wishes.primer),
    )


def _around(wishes, config):
    """Around given notes, to the end of their last bar."""
    piece = _filled(wishes.fix)
    return Plan(
        heard=_nothing(),
        bar_position=piece.bar_position,
        bar_steps=_bar_steps(_last_metre(piece)),
        cells=constraints.held_notes(piece.cells, config, wishes.fix_as),
        kept=len(piece),
        before=_nothing(),
        after=_nothing(),
        time_signatures=piece.time_signatures,
        tempo_qpm=_tempo(wishes, piece),
    )


def _redraw(wishes, config):
    """Bars of a piece anew; those that follow are looked at, and all else kept."""
    piece = wishes.primer
    start, stop = constraints.steps_of_bars(piece, wishes.redraw)
    starts = np.append(constraints.bar_starts(piece.bar_position), len(piece))
    after = starts[starts >= stop]
    seen = int(after[min(wishes.redraw_lookahead, len(after) - 1)])
    cells = constraints.all_cells(piece.cells, config)[start:seen]
    cells[: stop - start] = 0.0
    tail = piece.cells[stop:].copy()
    # Where the new bars sound on, a note that begins here becomes a replay; elsewhere
    # a replay in the first step falls away again when the piece is made canonical.
    tail[:1, :, 1] = matrices.onsets(piece.cells)[stop : stop + 1]
    return Plan(
        heard=(piece.cells[:start], piece.bar_position[:start]),
        bar_position=piece.bar_position[start:seen],
        bar_steps=_bar_steps(_last_metre(piece)),
        cells=cells,
        kept=stop - start,
        before=(piece.cells[:start], piece.bar_position[:start]),
        after=(tail, piece.bar_position[stop:]),
        time_signatures=piece.time_signatures,
        tempo_qpm=_tempo(wishes, piece),
    )


def first_steps(piece, num_steps):
    """The first steps of a piece, Matrices."""
    kept = tuple(s for s in piece.time_signatures if s[0] < max(num_steps, 1))
    return dataclasses.replace(
        piece,
        cells=piece.cells[:num_steps],
        bar_position=piece.bar_position[:num_steps],
        time_signatures=kept,
    )


def _filled(piece):
    """The piece with silence up to the end of its last bar."""
    bar_steps = _bar_steps(_last_metre(piece))
    position = int(piece.bar_position[-1]) if len(piece) else bar_steps - 1
    missing = max(bar_steps - 1 - position, 0)
    bars = np.arange(position + 1, position + 1 + missing).astype(np.uint8)
    return dataclasses.replace(
        piece,
        cells=np.pad(piece.cells, ((0, missing), (0, 0), (0, 0))),
        bar_position=np.append(piece.bar_position, bars),
    )


def _counted(first, num_steps, bar_steps):
    """Bar positions from `first` on, uint8 [steps]: a byte each, for long pieces."""
    bar = np.arange(bar_steps).astype(np.uint8)
    return np.resize(np.roll(bar, -first), num_steps)


def _last_metre(piece):
    return piece.time_signatures[-1][1:] if piece.time_signatures else DEFAULT_METRE


def _bar_steps(metre):
    numerator, denominator = metre
    steps = numerator * 4 * matrices.STEPS_PER_QUARTER
    return max(round(steps / denominator), 1)


def _tempo(wishes, piece):
    return wishes.tempo_qpm or (piece.tempo_qpm if piece else DEFAULT_TEMPO_QPM)


def _nothing():
    return np.zeros((0, 128, 3), np.uint8), np.zeros(0, np.uint8)
