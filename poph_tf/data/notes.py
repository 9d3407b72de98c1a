"""A piece as plain arrays of notes, measured in the ticks of its file.

This is what lies between a music file and the grid: `midi_bytes.parse` fills it from
the bytes of a MIDI file without a loop over notes, `from_sequence` from a NoteSequence.
A tick is the file's own unit, `ticks_per_quarter` of them make a quarter note; a
NoteSequence keeps seconds instead, which are turned back into the integer ticks they
came from along the tempo map, so that rounding to the grid does not depend on the
parser.
"""

import dataclasses

import numpy as np

from poph_tf.errors import InputError

DEFAULT_QPM = 120.0
DEFAULT_VELOCITY = 64
# note-seq's value for a NoteSequence that names none.
DEFAULT_TICKS_PER_QUARTER = 220
# Scores carry fractions of a quarter, not ticks: fine enough for 32nds and tuplets.
SCORE_TICKS_PER_QUARTER = 10080
SUSTAIN_CONTROL = 64
# A NoteSequence carries bar positions that its time signatures cannot say as
# annotations with this text and the bar position of the step they stand on.
BAR_ANNOTATION = "bar_position="
_MAX_TICK = 2**40


@dataclasses.dataclass(frozen=True, eq=False)
class Notes:
    """The notes of a piece in ticks.

    Args:
        start_tick, end_tick: int64 [note].
        pitch, velocity: uint8 [note], MIDI numbers.
        program: uint8 [note], General MIDI program, 0..127.
        instrument: int64 [note]; notes and pedals of one number belong together.
        is_drum: bool [note].
        ticks_per_quarter: int.
        tempo_ticks: int64 [tempo], ascending. Before the first: 120.
        tempo_qpms: float64 [tempo], quarter notes a minute.
        time_signatures: int64 [change, 3]: tick, numerator, denominator; ascending.
        pedals: int64 [event, 3]: tick, instrument, value 0..127; ascending.
        bar_marks: int64 [mark, 2]: tick, bar position there. Where there are any,
            they count instead of the time signatures.
        length_tick: int. The piece lasts at least so long.
        title: str.
    """

    start_tick: np.ndarray
    end_tick: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    program: np.ndarray
    instrument: np.ndarray
    is_drum: np.ndarray
    ticks_per_quarter: int
    tempo_ticks: np.ndarray
    tempo_qpms: np.ndarray
    time_signatures: np.ndarray
    pedals: np.ndarray
    bar_marks: np.ndarray
    length_tick: int = 0
    title: str = ""

    def __len__(self):
        return len(self.start_tick)


NOTE_FIELDS = (
    "start_tick",
    "end_tick",
    "pitch",
    "velocity",
    "program",
    "instrument",
    "is_drum",
)


def select(notes, keep):
    """The same piece with only the notes where `keep` (bool [note]) is true."""
    if keep.all():
        return notes
    kept = {name: getattr(notes, name)[keep] for name in NOTE_FIELDS}
    return dataclasses.replace(notes, **kept)


def shifted(notes, ticks):
    """The same piece `ticks` (int) later; what would lie before 0 starts at 0.

    Notes, tempi and pedals move; the time signatures stay, since who shifts a piece
    wants its notes to meet the bar lines.
    """

    def move(values):
        return np.maximum(values + ticks, 0)

    pedals = notes.pedals.copy()
    pedals[:, 0] = move(pedals[:, 0])
    return dataclasses.replace(
        notes,
        start_tick=move(notes.start_tick),
        end_tick=move(notes.end_tick),
        tempo_ticks=move(notes.tempo_ticks),
        pedals=pedals,
        length_tick=max(notes.length_tick + ticks, 0) if notes.length_tick else 0,
    )


def sustained(notes):
    """Lengthens notes as the sustain pedal does: up to its release.

    A note that ends while its instrument's pedal (value >= 64) is down lasts until the
    pedal goes up, or until the same instrument strikes the pitch again, or until the
    end of the piece.
    """
    if not len(notes) or not len(notes.pedals):
        return notes
    end_tick = notes.end_tick.copy()
    last_tick = int(notes.end_tick.max())
    for instrument in np.unique(notes.pedals[:, 1]):
        own = notes.instrument == instrument
        events = notes.pedals[notes.pedals[:, 1] == instrument]
        down = events[:, 2] >= 64
        at = np.searchsorted(events[:, 0], end_tick[own], side="right") - 1
        held = (at >= 0) & down[at]
        # The first release after each event; where none comes, the piece's end.
        index = np.where(down, len(events), np.arange(len(events)))
        release = np.minimum.accumulate(index[::-1])[::-1]
        ticks = np.append(events[:, 0], max(last_tick, int(events[-1, 0])))
        ends = np.where(held, ticks[release[at]], end_tick[own])
        end_tick[own] = np.maximum(ends, end_tick[own])
    return dataclasses.replace(notes, end_tick=_end_at_next_strike(notes, end_tick))


def _end_at_next_strike(notes, end_tick):
    """Cuts lengthened notes where their instrument strikes the same pitch again."""
    order = np.lexsort((notes.start_tick, notes.pitch, notes.instrument))
    start, pitch = notes.start_tick[order], notes.pitch[order]
    instrument = notes.instrument[order]
    again = (pitch[1:] == pitch[:-1]) & (instrument[1:] == instrument[:-1])
    again &= start[1:] > start[:-1]
    limit = np.full(len(start), np.iinfo(np.int64).max)
    limit[:-1][again] = start[1:][again]
    cut = end_tick.copy()
    cut[order] = np.maximum(
        np.minimum(end_tick[order], limit), notes.end_tick[order].clip(max=limit)
    )
    return cut


def from_sequence(sequence):
    """Takes the notes out of a NoteSequence.

    Args:
        sequence: note_seq.NoteSequence, not quantized. Where its encoding is MIDI or
            unsaid, times are turned back into its ticks.

    Returns:
        Notes.

    Raises:
        InputError: If a time is negative or not finite, or a pitch or velocity lies
            outside 0..127.
    """
    source = sequence.source_info.encoding_type
    is_score = source in (
        sequence.source_info.MUSIC_XML,
        sequence.source_info.ABC,
    )
    ticks_per_quarter = sequence.ticks_per_quarter or DEFAULT_TICKS_PER_QUARTER
    if is_score:
        ticks_per_quarter = SCORE_TICKS_PER_QUARTER
    clock = _Clock(sequence, ticks_per_quarter)
    table = _note_table(sequence)
    last_end = table[:, 1].max(initial=0.0)
    # Parsers set total_time to the last note's end; only more than that means silence.
    longer = sequence.total_time > last_end + 1e-9
    controls = [
        (c.time, c.instrument, c.control_value)
        for c in sequence.control_changes
        if c.control_number == SUSTAIN_CONTROL
    ]
    velocity = np.where(table[:, 3] == 0, DEFAULT_VELOCITY, table[:, 3])
    return Notes(
        start_tick=clock.ticks(table[:, 0]),
        end_tick=clock.ticks(table[:, 1]),
        pitch=table[:, 2].astype(np.uint8),
        velocity=velocity.astype(np.uint8),
        program=table[:, 4].astype(np.uint8),
        instrument=table[:, 5].astype(np.int64),
        is_drum=table[:, 6].astype(bool),
        ticks_per_quarter=ticks_per_quarter,
        tempo_ticks=clock.tempo_ticks,
        tempo_qpms=clock.tempo_qpms,
        time_signatures=clock.rows(
            (t.time, t.numerator, t.denominator) for t in sequence.time_signatures
        ),
        pedals=clock.rows(controls),
        bar_marks=clock.rows(_bar_marks(sequence), columns=2),
        length_tick=int(clock.ticks([sequence.total_time])[0]) if longer else 0,
        title=sequence.sequence_metadata.title,
    )


class _Clock:
    """Turns seconds into ticks along a NoteSequence's tempo map."""

    def __init__(self, sequence, ticks_per_quarter):
        changes = sorted(
            (t.time, i, t.qpm) for i, t in enumerate(sequence.tempos) if t.qpm > 0
        )
        if not changes or changes[0][0] > 0:
            changes.insert(0, (0.0, -1, DEFAULT_QPM))
        self._seconds = np.array([c[0] for c in changes])
        self.tempo_qpms = np.array([c[2] for c in changes])
        self._ticks_per_second = self.tempo_qpms / 60 * ticks_per_quarter
        spans = np.diff(self._seconds) * self._ticks_per_second[:-1]
        # Tempo changes lie on ticks too: rounding each keeps errors from adding up.
        ticks = np.concatenate([[0.0], np.cumsum(np.round(spans))])
        self.tempo_ticks = _whole(ticks)

    def ticks(self, seconds):
        seconds = np.asarray(seconds, np.float64)
        if not np.isfinite(seconds).all() or (seconds < 0).any():
            raise InputError("Times must be finite and not negative.")
        k = np.searchsorted(self._seconds, seconds, side="right") - 1
        k = np.maximum(k, 0)
        since = (seconds - self._seconds[k]) * self._ticks_per_second[k]
        return _whole(self.tempo_ticks[k] + np.round(since))

    def rows(self, events, columns=3):
        """int64 [event, columns]: events (seconds, values...) in order of time."""
        table = np.array(list(events), np.float64).reshape(-1, columns)
        rows = table.astype(np.int64)
        rows[:, 0] = self.ticks(table[:, 0])
        return rows[np.argsort(rows[:, 0], kind="stable")]


def _whole(ticks):
    if np.any(ticks > _MAX_TICK):
        raise InputError("Times must stay below 2^40 ticks.")
    return np.asarray(ticks).astype(np.int64)


def _note_table(sequence):
    """float64 [note, 7]: start, end, pitch, velocity, program, instrument, drum."""
    table = np.array(
        [
            (
                n.start_time,
                n.end_time,
                n.pitch,
                n.velocity,
                n.program,
                n.instrument,
                n.is_drum,
            )
            for n in sequence.notes
        ],
        np.float64,
    ).reshape(-1, 7)
    numbers = table[:, 2:5]
    if ((numbers < 0) | (numbers > 127)).any():
        raise InputError("Pitches, velocities and programs must lie in 0..127.")
    return table


def _bar_marks(sequence):
    for annotation in sequence.text_annotations:
        if annotation.text.startswith(BAR_ANNOTATION):
            number = annotation.text.removeprefix(BAR_ANNOTATION)
            if number.isdecimal() and len(number) <= 3:
                yield annotation.time, int(number)


def to_sequence(notes):
    """Writes notes as a NoteSequence, on the ticks they have.

    Returns:
        note_seq.NoteSequence, encoding MIDI.
    """
    from note_seq.protobuf import music_pb2

    sequence = music_pb2.NoteSequence()
    sequence.ticks_per_quarter = notes.ticks_per_quarter
    sequence.source_info.encoding_type = sequence.source_info.MIDI
    sequence.sequence_metadata.title = notes.title
    seconds = _seconds_of(notes)
    for tick, qpm in zip(notes.tempo_ticks, notes.tempo_qpms, strict=True):
        sequence.tempos.add(time=seconds(tick), qpm=qpm)
    for tick, numerator, denominator in notes.time_signatures.tolist():
        sequence.time_signatures.add(
            time=seconds(tick), numerator=numerator, denominator=denominator
        )
    starts, ends = seconds(notes.start_tick), seconds(notes.end_tick)
    for k in range(len(notes)):
        sequence.notes.add(
            start_time=starts[k],
            end_time=ends[k],
            pitch=int(notes.pitch[k]),
            velocity=int(notes.velocity[k]),
            program=int(notes.program[k]),
            instrument=int(notes.instrument[k]),
            is_drum=bool(notes.is_drum[k]),
        )
    for tick, instrument, value in notes.pedals.tolist():
        sequence.control_changes.add(
            time=seconds(tick),
            instrument=instrument,
            control_number=SUSTAIN_CONTROL,
            control_value=value,
        )
    sequence.total_time = float(max(ends.max(initial=0), seconds(notes.length_tick)))
    return sequence


def _seconds_of(notes):
    """A function from ticks to seconds along the tempo map."""
    ticks = np.concatenate([[0], notes.tempo_ticks])
    qpms = np.concatenate([[DEFAULT_QPM], notes.tempo_qpms])
    seconds_per_tick = 60 / qpms / notes.ticks_per_quarter
    at = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * seconds_per_tick[:-1])])

    def seconds(tick):
        k = np.searchsorted(ticks, tick, side="right") - 1
        return at[k] + (tick - ticks[k]) * seconds_per_tick[k]

    return seconds
