"""The three matrices of a piece: play, replay and volume on a grid of steps.

A step is a sixteenth note (`steps_per_quarter=4`). `play` is 1 while a pitch sounds,
`replay` is 1 where it sounded in the step before and is struck again, `volume` is the
velocity of what sounds. All three are in one array [time, pitch, channel], with all
tracks merged; each track has such an array too.

Onsets and ends are rounded to the nearest step, halves up; a note lasts at least one
step. In each track and in their merger, a pitch sounds while any of its notes does, and
each later onset is a replay (of several on one step, the loudest counts).

Source: the note representation of DeepJ (Mao et al., 2018, arXiv:1801.00887, 3.1).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf.config.tracks import Track
from poph_tf.data import (
    bars,
    credits,
    instruments,
    key_signatures,
    music_proto,
    quantization,
    reading,
    ritardando,
)
from poph_tf.data import cells as cells_lib
from poph_tf.data import notes as notes_lib
from poph_tf.data.cells import CHANNELS, PLAY, REPLAY, VOLUME
from poph_tf.data.cells import TrackCells as TrackCells
from poph_tf.data.cells import onsets as onsets
from poph_tf.data.cells import spans as spans
from poph_tf.errors import InputError, MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

NUM_PITCHES = quantization.NUM_PITCHES
STEPS_PER_QUARTER = bars.STEPS_PER_QUARTER
# to_sequence writes this many ticks per quarter, or the next multiple of the grid.
TICKS_PER_QUARTER = 480


@dataclasses.dataclass(frozen=True, eq=False)
class Matrices:
    """A piece on the grid.

    Attributes:
        cells: uint8 [time, pitch, 3], 128 pitches; channels play (0/1), replay (0/1),
            volume (0..127); of all tracks merged.
        bar_position: uint8 [time]. Steps since the last bar line, at most 255.
        tempo_qpm: mean tempo, quarter notes per minute.
        steps_per_quarter: steps in a quarter note.
        time_signatures: (step, numerator, denominator) of each change, for files made
            from the piece. If empty, they are guessed from the bar positions.
        title, composer, arranger: from a file or a task; empty if unknown.
        tracks: the instruments in file order; none if only their merger is known.
        key: given to the network or stated by a file, such as "G minor"; may be empty.
        ritardando: how much slower the last quarter is, 0..1; see `ritardando.py`.

    Example:
        >>> cells = np.zeros((4, 128, 3), np.uint8)
        >>> cells[:, 60] = (1, 0, 80)  # middle C, a quarter note long
        >>> piece = Matrices(cells, bar_position=np.arange(4, dtype=np.uint8))
        >>> len(piece), int(piece.play.sum())
        (4, 4)
    """

    cells: np.ndarray
    bar_position: np.ndarray
    tempo_qpm: float = notes_lib.DEFAULT_QPM
    steps_per_quarter: int = STEPS_PER_QUARTER
    time_signatures: tuple[tuple[int, int, int], ...] = ()
    title: str = ""
    composer: str = ""
    arranger: str = ""
    tracks: Sequence[TrackCells] = ()
    key: str = ""
    ritardando: float = 0.0

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def bars_left(self) -> np.ndarray:
        """int32 [time]: bar lines between each step and the end; 0 in the last bar."""
        lines = self.bar_position == 0
        return (lines.sum() - np.cumsum(lines)).astype(np.int32)

    def stack(self, tracks: Sequence[Track], *, partial: bool = False) -> np.ndarray:
        """The cells of a model's tracks, found by name.

        Args:
            tracks: the tracks of a model or data set.
            partial: treat tracks that the piece lacks as silent.

        Returns:
            uint8 [time, track, pitch, 3].

        Raises:
            InputError: If the piece lacks a track.
        """
        own = {track.name: track.cells for track in self.tracks}
        missing = [track.name for track in tracks if track.name not in own]
        if missing and not partial:
            raise InputError(
                f"The piece has no track {', '.join(missing)}; it has "
                f"{', '.join(own) or 'none'}."
            )
        silence = np.zeros((len(self), NUM_PITCHES, 3), np.uint8)
        return np.stack([own.get(track.name, silence) for track in tracks], axis=1)

    @property
    def play(self) -> np.ndarray:
        """uint8 [time, pitch], 0 or 1."""
        return self.cells[..., PLAY]

    @property
    def replay(self) -> np.ndarray:
        """uint8 [time, pitch], 0 or 1."""
        return self.cells[..., REPLAY]

    @property
    def volume(self) -> np.ndarray:
        """uint8 [time, pitch], 0..127."""
        return self.cells[..., VOLUME]

    def __eq__(self, other: object) -> bool:
        """Compares cells, bar positions, tempo and grid; not key or title."""
        return (
            isinstance(other, Matrices)
            and self.steps_per_quarter == other.steps_per_quarter
            and self.tempo_qpm == other.tempo_qpm
            and np.array_equal(self.cells, other.cells)
            and np.array_equal(self.bar_position, other.bar_position)
        )


def canonical(matrices: Matrices) -> Matrices:
    """The canonical matrices of the same notes.

    Each track is made canonical too; see `cells.canonical`. Bar positions count up
    without gaps.
    """
    return dataclasses.replace(
        matrices,
        cells=cells_lib.canonical(matrices.cells),
        bar_position=_counting(matrices.bar_position),
        tempo_qpm=bars.rounded_tempo(matrices.tempo_qpm),
        tracks=tuple(
            dataclasses.replace(track, cells=cells_lib.canonical(track.cells))
            for track in matrices.tracks
        ),
    )


def from_stack(
    stack: np.ndarray, tracks: Sequence[Track], bar_position: np.ndarray, **fields: Any
) -> Matrices:
    """A canonical piece from a model's tracks: the inverse of `Matrices.stack`.

    Args:
        stack: uint8 [time, track, pitch, 3].
        tracks: their names, programs and kinds.
        bar_position: uint8 [time].
        **fields: the other fields of `Matrices`.
    """
    stack = cells_lib.canonical(stack)
    own = tuple(
        TrackCells(track.name, track.program, track.is_drum, stack[:, k])
        for k, track in enumerate(tracks)
    )
    merged = cells_lib.merged(stack)
    return canonical(Matrices(merged, bar_position, tracks=own, **fields))


def _counting(bar_position: np.ndarray) -> np.ndarray:
    """Bar positions that are each 0 or one more than the one before."""
    lines = bar_position == 0
    lines[:1] = True
    times = np.arange(len(lines))
    since = times - np.maximum.accumulate(np.where(lines, times, 0))
    first = int(bar_position[0]) if len(bar_position) else 0
    counted = np.where(np.cumsum(lines) == 1, since + first, since)
    return np.minimum(counted, bars.MAX_BAR_POSITION).astype(np.uint8)


def validate(matrices: Matrices) -> None:
    """Raises InputError for the first place where matrices are not canonical.

    Also checks each track, and that `cells` is the tracks merged.
    """
    cells, bar_position = matrices.cells, matrices.bar_position
    own = {f"track {track.name!r}: ": track.cells for track in matrices.tracks}
    for name, part in {"": cells, **own}.items():
        if part.ndim != 3 or part.shape[1:] != (NUM_PITCHES, 3):
            raise InputError(
                f"{name}cells must be [time, 128, 3], got shape {part.shape}."
            )
        if len(part) != len(cells):
            raise InputError(f"{name}has {len(part)} steps, the piece {len(cells)}.")
        if part.dtype != np.uint8 or bar_position.dtype != np.uint8:
            raise InputError(f"{name}cells and bar_position must be uint8.")
    if bar_position.shape != cells.shape[:1]:
        raise InputError(
            f"bar_position must be [{len(cells)}], got shape {bar_position.shape}."
        )
    if not bars.MIN_QPM <= matrices.tempo_qpm < np.inf:
        raise InputError(
            f"tempo_qpm must be at least {bars.MIN_QPM}, got {matrices.tempo_qpm}."
        )
    for name, part in {"": cells, **own}.items():
        _require_equal(part, cells_lib.canonical(part), name)
    if own:
        whole = cells_lib.merged(np.stack(list(own.values()), axis=1))
        _require_equal(cells, whole, "the merged tracks: ")
    counted = _counting(bar_position)
    for time in np.flatnonzero(bar_position != counted)[:1]:
        raise InputError(
            f"bar_position at step {time} must be 0 or {counted[time]}, got "
            f"{bar_position[time]}."
        )


def _require_equal(cells: np.ndarray, right: np.ndarray, whose: str) -> None:
    """Raises InputError for the first wrong cell; `whose`: a prefix."""
    for channel, name in enumerate(CHANNELS):
        for time, pitch in np.argwhere(cells[..., channel] != right[..., channel])[:1]:
            raise InputError(
                f"{whose}{name} at step {time}, pitch {pitch} must be "
                f"{right[time, pitch, channel]}, got {cells[time, pitch, channel]}."
            )


def from_file(
    path: str | Path, steps_per_quarter: int = STEPS_PER_QUARTER, **options: Any
) -> Matrices:
    """Reads a music file that holds one piece and puts it on the grid.

    Args:
        path: a file of a format in `reading.SUFFIXES`.
        steps_per_quarter: steps in a quarter note.
        **options: those of `from_sequence`.

    Raises:
        MusicFileError: If the file cannot be read, or is too long.
    """
    notes = reading.read_notes(path)
    try:
        return from_notes(notes, steps_per_quarter, **options)
    except InputError as error:
        raise MusicFileError(path, str(error)) from None


def from_sequence(
    sequence: "NoteSequence", steps_per_quarter: int = STEPS_PER_QUARTER, **options: Any
) -> Matrices:
    """Puts a NoteSequence on the grid.

    Args:
        sequence: not quantized.
        steps_per_quarter: steps in a quarter note.
        **options: `drums`, `sustain`, `max_steps` of `quantization.quantize`.

    Returns:
        Canonical matrices. A piece without notes has no steps, unless its total_time
        gives the length of its silence.

    Raises:
        InputError: If the sequence holds impossible numbers or is too long.
    """
    return from_notes(notes_lib.from_sequence(sequence), steps_per_quarter, **options)


def from_notes(
    notes: notes_lib.Notes, steps_per_quarter: int = STEPS_PER_QUARTER, **options: Any
) -> Matrices:
    """Puts notes in ticks on the grid; arguments and result as in `from_sequence`."""
    piece = quantization.quantize(notes, steps_per_quarter, **options)
    parts = instruments.parts(notes, drums=options.get("drums", False))
    own = [instruments.quantize(part.notes, piece, **options) for part in parts]
    tracks = _LazyTracks(parts, own)
    made = from_quantized(piece, tracks=tracks, **credits.of(notes))
    return dataclasses.replace(made, key=key_signatures.chosen(notes.keys, made.play))


class _LazyTracks(Sequence[TrackCells]):
    """The tracks of a piece, whose cells are made on access.

    The cells of a long piece with many tracks are large and rarely needed.
    """

    def __init__(
        self,
        parts: Sequence[instruments.Part],
        pieces: Sequence[quantization.QuantizedNotes],
    ) -> None:
        self._parts, self._pieces = parts, pieces

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(len(self))[index]]
        part, piece = self._parts[index], self._pieces[index]
        cells = quantization.cells(piece)
        return TrackCells(part.name, part.program, part.is_drum, cells)


def from_quantized(piece: quantization.QuantizedNotes, **fields: Any) -> Matrices:
    """The matrices of notes on the grid, with other fields of `Matrices`."""
    return Matrices(
        cells=quantization.cells(piece),
        bar_position=piece.bar_position,
        tempo_qpm=piece.tempo_qpm,
        steps_per_quarter=piece.steps_per_quarter,
        time_signatures=piece.time_signatures,
        **fields,
    )


def to_sequence(matrices: Matrices) -> "NoteSequence":
    """Writes matrices as a NoteSequence: the inverse of `from_sequence`.

    Args:
        matrices: made canonical first.

    Returns:
        A sequence with one tempo (apart from a ritardando), an instrument for each
        track (a piano where there are none), the piece's length as total_time and its
        bar positions.
    """
    matrices = canonical(matrices)
    per_quarter = matrices.steps_per_quarter
    ticks_per_quarter = -(-TICKS_PER_QUARTER // per_quarter) * per_quarter
    sequence = music_proto.load().NoteSequence(ticks_per_quarter=ticks_per_quarter)
    credits.to_sequence(matrices, sequence)
    key_signatures.to_sequence(key_signatures.named(matrices.key), sequence)
    sequence.tempos.add(time=0.0, qpm=matrices.tempo_qpm)
    seconds_per_step = 60.0 / matrices.tempo_qpm / per_quarter
    merged = TrackCells("", 0, False, matrices.cells)
    for instrument, track in enumerate(matrices.tracks or (merged,)):
        _add_notes(sequence, instrument, track, seconds_per_step)
    sequence.total_time = len(matrices) * seconds_per_step
    _add_bars(sequence, matrices, seconds_per_step)
    ritardando.apply(sequence, matrices.bar_position, per_quarter, matrices.ritardando)
    return sequence


def _add_bars(
    sequence: "NoteSequence", matrices: Matrices, seconds_per_step: float
) -> None:
    grid = matrices.bar_position, matrices.steps_per_quarter
    signatures = matrices.time_signatures or bars.guessed(*grid)
    for step, numerator, denominator in signatures:
        sequence.time_signatures.add(
            time=step * seconds_per_step, numerator=numerator, denominator=denominator
        )
    for step, position in bars.marks(*grid, np.array(signatures, np.int64)):
        sequence.text_annotations.add(
            time=step * seconds_per_step, text=f"{notes_lib.BAR_ANNOTATION}{position}"
        )


def _add_notes(
    sequence: "NoteSequence", instrument: int, track: TrackCells, seconds: float
) -> None:
    """Adds the notes of a track to a sequence; `seconds` is the length of a step."""
    if track.name:
        sequence.instrument_infos.add(instrument=instrument, name=track.name)
    for start, end, pitch, velocity in zip(*spans(track.cells), strict=True):
        sequence.notes.add(
            pitch=int(pitch),
            velocity=int(velocity),
            start_time=start * seconds,
            end_time=end * seconds,
            instrument=instrument,
            program=track.program,
            is_drum=track.is_drum,
        )
