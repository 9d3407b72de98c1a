"""The three matrices of a piece: play, replay and volume on a grid of steps.

A step is a sixteenth note (`steps_per_quarter=4`). `play` is 1 while a pitch sounds,
`replay` is 1 where it sounded in the step before and is struck again, `volume` is the
velocity of what sounds. All three lie in one array [time, pitch, channel].

Onsets and ends go to the nearest step, halves up; a note lasts at least one step; a
later onset of the same pitch ends the earlier note; instruments are merged (of notes
that begin on the same step and pitch the longest end and the loudest velocity count).

Source: the note representation of DeepJ (Mao et al., 2018, arXiv:1801.00887, 3.1).
"""

import dataclasses

import numpy as np

from poph_tf.data import bars, midi, quantization
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError, MusicFileError

NUM_PITCHES = quantization.NUM_PITCHES
PLAY, REPLAY, VOLUME = range(3)
STEPS_PER_QUARTER = bars.STEPS_PER_QUARTER
# to_sequence writes this many ticks a quarter unless the grid needs more.
TICKS_PER_QUARTER = 480


@dataclasses.dataclass(frozen=True, eq=False)
class Matrices:
    """A piece on the grid.

    Args:
        cells: uint8 [time, pitch, 3], 128 pitches; channels play (0/1), replay (0/1),
            volume (0..127).
        bar_position: uint8 [time]. Steps since the last bar line, at most 255.
        tempo_qpm: float. Mean tempo, quarter notes a minute.
        steps_per_quarter: int.
        time_signatures: tuple of (step, numerator, denominator); what MIDI files made
            from the piece say. Empty: guessed from the bar positions when needed.
        title: str.
    """

    cells: np.ndarray
    bar_position: np.ndarray
    tempo_qpm: float = notes_lib.DEFAULT_QPM
    steps_per_quarter: int = STEPS_PER_QUARTER
    time_signatures: tuple = ()
    title: str = ""

    def __len__(self):
        return len(self.cells)

    @property
    def play(self):
        """uint8 [time, pitch]."""
        return self.cells[..., PLAY]

    @property
    def replay(self):
        """uint8 [time, pitch]."""
        return self.cells[..., REPLAY]

    @property
    def volume(self):
        """uint8 [time, pitch], 0..127."""
        return self.cells[..., VOLUME]

    def __eq__(self, other):
        """The same music: cells, bar positions, tempo and grid (not metres, title)."""
        return (
            isinstance(other, Matrices)
            and self.steps_per_quarter == other.steps_per_quarter
            and self.tempo_qpm == other.tempo_qpm
            and np.array_equal(self.cells, other.cells)
            and np.array_equal(self.bar_position, other.bar_position)
        )


def onsets(cells):
    """Where a note begins: play[t]=1 and (play[t-1]=0 or replay[t]=1).

    Args:
        cells: [time, pitch, channel].

    Returns:
        bool [time, pitch].
    """
    play = cells[..., PLAY] != 0
    return play & (~_before(play) | (cells[..., REPLAY] != 0))


def _before(play):
    """The frame of the step before; silence before the first. [time, pitch]."""
    return np.concatenate([np.zeros_like(play[:1]), play[:-1]])


def canonical(matrices):
    """The nearest canonical matrices: the ones that mean the same notes.

    Replays of what did not sound are dropped, a held note takes its onset's volume,
    an onset without volume gets 1, silent cells get 0, bar positions count on.
    """
    play = matrices.play != 0
    replay = play & _before(play) & (matrices.replay != 0)
    cells = np.zeros(matrices.cells.shape, np.uint8)
    cells[..., PLAY] = play
    cells[..., REPLAY] = replay
    times = np.arange(len(play))[:, None]
    onset_at = np.where(onsets(cells), times, 0)
    onset_at = np.maximum.accumulate(onset_at, axis=0)
    volume = np.take_along_axis(matrices.volume, onset_at, axis=0)
    cells[..., VOLUME] = np.where(play, np.clip(volume, 1, 127), 0)
    return dataclasses.replace(
        matrices,
        cells=cells,
        bar_position=_counting(matrices.bar_position),
        tempo_qpm=bars.rounded_tempo(matrices.tempo_qpm),
    )


def _counting(bar_position):
    """Bar positions of which each is 0 or one more than the one before."""
    given = np.asarray(bar_position, np.int64)
    lines = given == 0
    lines[:1] = True
    times = np.arange(len(given))
    since = times - np.maximum.accumulate(np.where(lines, times, 0))
    first = int(given[0]) if len(given) else 0
    upbeat = np.cumsum(lines) == 1
    counted = np.where(upbeat, since + first, since)
    return np.minimum(counted, bars.MAX_BAR_POSITION).astype(np.uint8)


def validate(matrices):
    """Raises InputError with the first thing in which matrices are not canonical."""
    cells, bar_position = matrices.cells, matrices.bar_position
    if cells.ndim != 3 or cells.shape[1:] != (NUM_PITCHES, 3):
        raise InputError(f"cells must be [time, 128, 3], got shape {cells.shape}.")
    if cells.dtype != np.uint8 or bar_position.dtype != np.uint8:
        raise InputError("cells and bar_position must be uint8.")
    if bar_position.shape != cells.shape[:1]:
        raise InputError(
            f"bar_position must be [{len(cells)}], got shape {bar_position.shape}."
        )
    if not bars.LEAST_QPM <= matrices.tempo_qpm < np.inf:
        raise InputError(
            f"tempo_qpm must be at least {bars.LEAST_QPM}, got {matrices.tempo_qpm}."
        )
    right = canonical(matrices)
    for channel, name in enumerate(("play", "replay", "volume")):
        wrong = np.argwhere(cells[..., channel] != right.cells[..., channel])
        if len(wrong):
            time, pitch = wrong[0]
            raise InputError(
                f"{name} at step {time}, pitch {pitch} must be "
                f"{right.cells[time, pitch, channel]}, got "
                f"{cells[time, pitch, channel]}."
            )
    wrong = np.flatnonzero(bar_position != right.bar_position)
    if len(wrong):
        raise InputError(
            f"bar_position at step {wrong[0]} must be 0 or "
            f"{right.bar_position[wrong[0]]}, got {bar_position[wrong[0]]}."
        )


def from_file(path, steps_per_quarter=STEPS_PER_QUARTER, **options):
    """Reads a music file that holds one piece and puts it on the grid.

    Args:
        path: str or path.
        steps_per_quarter, **options: as for `from_sequence`.

    Returns:
        Matrices, canonical.

    Raises:
        MusicFileError: If it cannot be read, or is too long.
    """
    sequence = midi.read(path)
    try:
        return from_sequence(sequence, steps_per_quarter, **options)
    except InputError as error:
        raise MusicFileError(path, str(error)) from None


def from_sequence(sequence, steps_per_quarter=STEPS_PER_QUARTER, **options):
    """Puts a NoteSequence on the grid.

    Args:
        sequence: note_seq.NoteSequence.
        steps_per_quarter: int.
        **options: `drums`, `sustain`, `max_steps` of `from_notes`.

    Returns:
        Matrices, canonical. A piece without notes has no steps, unless its total_time
        says how long it is silent.

    Raises:
        InputError: If the sequence holds impossible numbers or is too long.
    """
    notes = notes_lib.from_sequence(sequence)
    return from_notes(notes, steps_per_quarter, **options)


def from_notes(notes, steps_per_quarter=STEPS_PER_QUARTER, **options):
    """Puts notes in ticks on the grid.

    Args:
        notes: notes.Notes.
        steps_per_quarter: int.
        **options: as for `placing.place`.

    Returns:
        Matrices, canonical.

    Raises:
        InputError: If the piece is longer than `max_steps`.
    """
    return from_placed(quantization.place(notes, steps_per_quarter, **options))


def from_placed(placed):
    """The matrices of a piece whose notes lie on the grid (placing.Placed)."""
    return Matrices(
        # A plane for each channel: most that is done with cells is done with one.
        cells=quantization.planes(placed).transpose(1, 2, 0),
        bar_position=placed.bar_position,
        tempo_qpm=placed.tempo_qpm,
        steps_per_quarter=placed.steps_per_quarter,
        time_signatures=placed.time_signatures,
        title=placed.title,
    )


def to_sequence(matrices):
    """Writes matrices as a NoteSequence: the inverse of `from_sequence`.

    Args:
        matrices: Matrices. Not canonical ones are taken for what they mean.

    Returns:
        note_seq.NoteSequence with one tempo, one instrument (piano), the piece's
        length as total_time and its bar positions.
    """
    from note_seq.protobuf import music_pb2

    matrices = canonical(matrices)
    per_quarter = matrices.steps_per_quarter
    sequence = music_pb2.NoteSequence()
    sequence.ticks_per_quarter = TICKS_PER_QUARTER
    if TICKS_PER_QUARTER % per_quarter:
        sequence.ticks_per_quarter = per_quarter * (
            TICKS_PER_QUARTER // per_quarter + 1
        )
    sequence.sequence_metadata.title = matrices.title
    sequence.tempos.add(time=0.0, qpm=matrices.tempo_qpm)
    seconds_per_step = 60.0 / matrices.tempo_qpm / per_quarter
    for step, numerator, denominator in _signatures(matrices):
        sequence.time_signatures.add(
            time=step * seconds_per_step, numerator=numerator, denominator=denominator
        )
    _add_notes(sequence, matrices.cells, seconds_per_step)
    sequence.total_time = len(matrices) * seconds_per_step
    _add_bar_marks(sequence, matrices, seconds_per_step)
    return sequence


def spans(cells):
    """The notes of canonical cells.

    Args:
        cells: [time, pitch, 3].

    Returns:
        start, end (steps), pitch, velocity: int64 [note], by start, then pitch.
    """
    play = np.pad(cells[..., PLAY] != 0, ((0, 1), (0, 0)))
    onset = onsets(np.pad(cells, ((0, 1), (0, 0), (0, 0))))
    pitch, start = np.nonzero(onset.T)
    stop_pitch, stop = np.nonzero((onset | ~play).T)
    # Along a pitch every onset is followed by another or by silence.
    scale = len(play)
    at = np.searchsorted(stop_pitch * scale + stop, pitch * scale + start, "right")
    end = stop[at] if len(start) else start
    velocity = cells[start, pitch, VOLUME].astype(np.int64)
    order = np.lexsort((pitch, start))
    return start[order], end[order], pitch[order], velocity[order]


def _add_notes(sequence, cells, seconds_per_step):
    for start, end, pitch, velocity in zip(*spans(cells), strict=True):
        sequence.notes.add(
            pitch=int(pitch),
            velocity=int(velocity),
            start_time=start * seconds_per_step,
            end_time=end * seconds_per_step,
        )


def _add_bar_marks(sequence, matrices, seconds_per_step):
    """Says what the time signatures cannot about the bar positions."""
    wanted = matrices.bar_position
    notes = notes_lib.from_sequence(sequence)
    if np.array_equal(
        wanted, bars.bar_positions(notes, len(wanted), matrices.steps_per_quarter)
    ):
        return
    counts_on = np.append(
        -1, np.minimum(wanted[:-1].astype(int) + 1, bars.MAX_BAR_POSITION)
    )
    for step in np.flatnonzero(wanted != counts_on):
        sequence.text_annotations.add(
            time=step * seconds_per_step,
            text=f"{notes_lib.BAR_ANNOTATION}{wanted[step]}",
        )


def _signatures(matrices):
    return matrices.time_signatures or bars.guessed(
        matrices.bar_position, matrices.steps_per_quarter
    )
