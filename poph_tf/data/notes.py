"""A piece as plain arrays of notes, measured in the ticks of its file.

Notes are the stage between a music file and the grid: `midi_bytes.parse` makes them
from the bytes of a MIDI file, `from_sequence` from a NoteSequence. A tick is the file's
own unit; a quarter note has `ticks_per_quarter` of them. A NoteSequence keeps seconds,
which are converted along the tempo map back into the whole ticks that they came from,
so that rounding to the grid does not depend on the reader.
"""

import dataclasses
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf.data import credits, key_signatures, music_proto
from poph_tf.errors import InputError, MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

DEFAULT_QPM = 120.0
# Tempos outside this range are clamped.
LOWEST_QPM, HIGHEST_QPM = 10.0, 1000.0
CLAMPED_TEMPO = "tempos outside 10 to 1,000 clamped"
DEFAULT_VELOCITY = 64
# note-seq's value for a NoteSequence without its own.
DEFAULT_TICKS_PER_QUARTER = 220
# Scores have fractions of a quarter, not ticks: fine enough for 32nds and tuplets.
SCORE_TICKS_PER_QUARTER = 10080
SUSTAIN_CONTROL = 64
# An annotation of a NoteSequence with this text gives the bar position of its step,
# for bar positions that time signatures cannot express.
BAR_ANNOTATION = "bar_position="
# One with this text gives the count and the kind of a repair.
REPAIR_ANNOTATION = "repaired="
_MAX_TICK = 2**40
_NUMBERS = ("pitch", "velocity", "program", "instrument", "is_drum")
_NOTE_FIELDS = ("start_tick", "end_tick", *_NUMBERS)
_SEQUENCE_FIELDS = ("start_time", "end_time", *_NUMBERS)


@dataclasses.dataclass(frozen=True, eq=False)
class Notes:
    """The notes of a piece in ticks.

    Attributes:
        start_tick, end_tick: int64 [note].
        pitch, velocity: uint8 [note], MIDI numbers.
        program: uint8 [note], General MIDI program, 0..127.
        instrument: int64 [note]; notes and pedals of the same number belong together.
        is_drum: bool [note].
        ticks_per_quarter: ticks in a quarter note.
        tempo_ticks: int64 [tempo], ascending. The tempo is 120 before the first.
        tempo_qpms: float64 [tempo], quarter notes per minute.
        time_signatures: int64 [change, 3]: tick, numerator, denominator; ascending.
        pedals: int64 [event, 3]: tick, instrument, value 0..127; ascending.
        bar_marks: int64 [mark, 2]: tick, bar position there. If there are any, they
            replace the time signatures.
        length_tick: the piece lasts at least this long.
        title, composer, arranger: as in the file; empty if unknown.
        names: by instrument, the name of its track or part if it has one.
        repairs: how often a reader made each kind of repair to the file.
        keys: 0..23, those that the first key signature allows; none: all.
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
    composer: str = ""
    arranger: str = ""
    names: Mapping[int, str] = dataclasses.field(default_factory=dict)
    repairs: Mapping[str, int] = dataclasses.field(default_factory=dict)
    keys: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.start_tick)


def select(notes: Notes, keep: np.ndarray) -> Notes:
    """The same piece with only the notes where `keep` (bool [note]) is true."""
    if keep.all():
        return notes
    kept = {name: getattr(notes, name)[keep] for name in _NOTE_FIELDS}
    return dataclasses.replace(notes, **kept)


def shifted(notes: Notes, ticks: int) -> Notes:
    """The same piece `ticks` later; what would lie before 0 starts at 0.

    Notes, tempi and pedals move. The time signatures stay, since the purpose of a shift
    is to align notes with the bar lines.
    """

    def move(values: np.ndarray) -> np.ndarray:
        return np.maximum(values + ticks, 0)

    return dataclasses.replace(
        notes,
        start_tick=move(notes.start_tick),
        end_tick=move(notes.end_tick),
        tempo_ticks=move(notes.tempo_ticks),
        pedals=at_ticks(notes.pedals, move),
        length_tick=max(notes.length_tick + ticks, 0) if notes.length_tick else 0,
    )


def at_ticks(rows: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Pedals or time signatures with their ticks, the first column, moved."""
    return np.column_stack([move(rows[:, 0]), rows[:, 1:]])


def sustained(notes: Notes) -> Notes:
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
        # The first release after each event; without one, the end of the piece.
        index = np.where(down, len(events), np.arange(len(events)))
        release = np.minimum.accumulate(index[::-1])[::-1]
        ticks = np.append(events[:, 0], max(last_tick, int(events[-1, 0])))
        ends = np.where(held, ticks[release[at]], end_tick[own])
        end_tick[own] = np.maximum(ends, end_tick[own])
    return dataclasses.replace(notes, end_tick=_end_at_next_strike(notes, end_tick))


def _end_at_next_strike(notes: Notes, end_tick: np.ndarray) -> np.ndarray:
    """Cuts lengthened notes where their instrument strikes the same pitch again."""
    order = np.lexsort((notes.start_tick, notes.pitch, notes.instrument))
    start, pitch = notes.start_tick[order], notes.pitch[order]
    instrument = notes.instrument[order]
    again = (pitch[1:] == pitch[:-1]) & (instrument[1:] == instrument[:-1])
    again &= start[1:] > start[:-1]
    limit = np.full(len(start), np.iinfo(np.int64).max)
    limit[:-1][again] = start[1:][again]
    cut = end_tick.copy()
    own_end = notes.end_tick[order].clip(max=limit)
    cut[order] = np.maximum(np.minimum(end_tick[order], limit), own_end)
    return cut


def parse_sequence(data: bytes, name: str) -> "NoteSequence":
    """Reads a serialized NoteSequence.

    Raises:
        MusicFileError: If the bytes are not a NoteSequence, or a quantized one.
    """
    from google.protobuf.message import DecodeError

    try:
        sequence = music_proto.load().NoteSequence.FromString(data)
    except DecodeError:
        raise MusicFileError(name, "not a NoteSequence") from None
    if sequence.HasField("quantization_info"):
        raise MusicFileError(name, "a quantized NoteSequence")
    return sequence


def from_sequence(sequence: "NoteSequence") -> Notes:
    """Extracts the notes of a NoteSequence.

    Args:
        sequence: not quantized. Unless it comes from a score, times are converted
            back into its ticks.

    Raises:
        InputError: If a time is negative or not finite, or a pitch or velocity lies
            outside 0..127.
    """
    clock = Clock.of(sequence)
    start, end, columns = _columns(sequence)
    # Readers set total_time to the last note's end; only more than that is silence.
    longer = not sequence.total_time <= end.max(initial=0.0) + 1e-9
    total = clock.ticks([sequence.total_time], "total_time")[0] if longer else 0
    signatures = [
        (t.time, t.numerator, t.denominator) for t in sequence.time_signatures
    ]
    controls = [
        (c.time, c.instrument, c.control_value)
        for c in sequence.control_changes
        if c.control_number == SUSTAIN_CONTROL
    ]
    made = Notes(
        clock.ticks(start),
        clock.ticks(end),
        **columns,
        ticks_per_quarter=clock.ticks_per_quarter,
        tempo_ticks=clock.tempo_ticks,
        tempo_qpms=clock.tempo_qpms,
        time_signatures=clock.rows(signatures, 3, "time signatures"),
        pedals=clock.rows(controls, 3, "control changes"),
        bar_marks=clock.rows(_bar_marks(sequence), 2, "bar marks"),
        repairs=_repairs(sequence),
        length_tick=int(total),
        **credits.from_sequence(sequence),
        names={info.instrument: info.name for info in sequence.instrument_infos},
        keys=key_signatures.from_sequence(sequence),
    )
    return with_possible_tempos(made)


def _columns(
    sequence: "NoteSequence",
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """start, end (seconds) and the other fields of `Notes` for each note."""
    values = operator.attrgetter(*_SEQUENCE_FIELDS)
    table = np.array([values(note) for note in sequence.notes], np.float64)
    start, end, *numbers = table.reshape(-1, 7).T
    if any(((column < 0) | (column > 127)).any() for column in numbers[:3]):
        raise InputError("Pitches, velocities and programs must lie in 0..127.")
    numbers[1] = np.where(numbers[1] == 0, DEFAULT_VELOCITY, numbers[1])
    types = (np.uint8, np.uint8, np.uint8, np.int64, bool)
    columns = (column.astype(t) for column, t in zip(numbers, types, strict=True))
    return start, end, dict(zip(_NUMBERS, columns, strict=True))


class Clock:
    """Converts seconds into ticks along a tempo map of (seconds, qpm)."""

    def __init__(
        self, tempos: Iterable[tuple[float, float]], ticks_per_quarter: int
    ) -> None:
        self.ticks_per_quarter = ticks_per_quarter
        tempos = list(tempos)
        _check_times([seconds for seconds, _ in tempos], "tempos")
        if not np.isfinite([qpm for _, qpm in tempos]).all():
            raise InputError("Tempos must be finite numbers.")
        changes = sorted(
            (seconds, i, qpm) for i, (seconds, qpm) in enumerate(tempos) if qpm > 0
        )
        if not changes or changes[0][0] > 0:
            changes.insert(0, (0.0, -1, DEFAULT_QPM))
        self._seconds, _, self.tempo_qpms = np.array(changes, np.float64).T
        self._ticks_per_second = self.tempo_qpms / 60 * ticks_per_quarter
        spans = np.diff(self._seconds) * self._ticks_per_second[:-1]
        # Tempo changes lie on ticks too: rounding each keeps errors from adding up.
        ticks = np.concatenate([[0.0], np.cumsum(np.round(spans))])
        self.tempo_ticks = _whole(ticks)

    @classmethod
    def of(cls, sequence: "NoteSequence") -> "Clock":
        """The clock of a NoteSequence; scores get finer ticks than they state."""
        info = sequence.source_info
        ticks_per_quarter = sequence.ticks_per_quarter or DEFAULT_TICKS_PER_QUARTER
        if info.encoding_type in (info.MUSIC_XML, info.ABC):
            ticks_per_quarter = SCORE_TICKS_PER_QUARTER
        return cls(((t.time, t.qpm) for t in sequence.tempos), ticks_per_quarter)

    def ticks(self, seconds: Any, what: str = "notes") -> np.ndarray:
        """int64, shaped like `seconds`, the times of `what`."""
        seconds = np.asarray(seconds, np.float64)
        _check_times(seconds, what)
        k = np.searchsorted(self._seconds, seconds, side="right") - 1
        k = np.maximum(k, 0)
        since = (seconds - self._seconds[k]) * self._ticks_per_second[k]
        return _whole(self.tempo_ticks[k] + np.round(since))

    def rows(
        self, events: Iterable[tuple[float, ...]], columns: int, what: str
    ) -> np.ndarray:
        """int64 [event, columns]: events (seconds, values...) in order of time."""
        table = np.array(list(events), np.float64).reshape(-1, columns)
        ticks = self.ticks(table[:, 0], what)
        rows = np.column_stack([ticks, table[:, 1:].astype(np.int64)])
        return rows[np.argsort(rows[:, 0], kind="stable")]


def with_possible_tempos(notes: Notes) -> Notes:
    """Clamps tempos that MIDI can store but nobody plays, and counts them."""
    clamped = np.clip(notes.tempo_qpms, LOWEST_QPM, HIGHEST_QPM)
    count = int((clamped != notes.tempo_qpms).sum())
    if not count:
        return notes
    repairs = {**notes.repairs, CLAMPED_TEMPO: count}
    return dataclasses.replace(notes, tempo_qpms=clamped, repairs=repairs)


def in_quarters(notes: Notes, ticks_per_second: float) -> Notes:
    """Converts ticks that are fractions of a second into fractions of a quarter."""
    tempos = zip(notes.tempo_ticks / ticks_per_second, notes.tempo_qpms, strict=True)
    clock = Clock(tempos, SCORE_TICKS_PER_QUARTER)

    def move(ticks: np.ndarray) -> np.ndarray:
        return clock.ticks(ticks / ticks_per_second)

    start = move(notes.start_tick)
    return dataclasses.replace(
        notes,
        start_tick=start,
        end_tick=np.maximum(move(notes.end_tick), start + 1),
        ticks_per_quarter=SCORE_TICKS_PER_QUARTER,
        tempo_ticks=clock.tempo_ticks,
        tempo_qpms=clock.tempo_qpms,
        time_signatures=at_ticks(notes.time_signatures, move),
        pedals=at_ticks(notes.pedals, move),
    )


def _check_times(seconds: Any, what: str) -> None:
    seconds = np.asarray(seconds, np.float64)
    if not (np.isfinite(seconds) & (seconds >= 0)).all():
        raise InputError(f"Times of {what} must be finite and not negative.")


def _whole(ticks: np.ndarray) -> np.ndarray:
    if np.any(ticks > _MAX_TICK):
        raise InputError("Times must stay below 2^40 ticks.")
    return np.asarray(ticks).astype(np.int64)


def _repairs(sequence: "NoteSequence") -> dict[str, int]:
    texts = [annotation.text for annotation in sequence.text_annotations]
    said = [t.split("=", 1)[1] for t in texts if t.startswith(REPAIR_ANNOTATION)]
    parts = [text.partition(" ") for text in said]
    return {kind: int(count) for count, _, kind in parts if count.isdecimal()}


def _bar_marks(sequence: "NoteSequence") -> Iterator[tuple[float, int]]:
    for annotation in sequence.text_annotations:
        if annotation.text.startswith(BAR_ANNOTATION):
            number = annotation.text.removeprefix(BAR_ANNOTATION)
            if number.isdecimal() and len(number) <= 3:
                yield annotation.time, int(number)


def to_sequence(notes: Notes) -> "NoteSequence":
    """Writes notes as a NoteSequence with the encoding of MIDI files."""
    music_pb2 = music_proto.load()

    sequence = music_pb2.NoteSequence(ticks_per_quarter=notes.ticks_per_quarter)
    sequence.source_info.encoding_type = sequence.source_info.MIDI
    credits.to_sequence(notes, sequence)
    key_signatures.to_sequence(notes.keys, sequence)
    for instrument, name in notes.names.items():
        sequence.instrument_infos.add(instrument=instrument, name=name)
    seconds = seconds_of(notes)
    for tick, qpm in zip(notes.tempo_ticks, notes.tempo_qpms, strict=True):
        sequence.tempos.add(time=seconds(tick), qpm=qpm)
    for tick, numerator, denominator in notes.time_signatures.tolist():
        sequence.time_signatures.add(
            time=seconds(tick), numerator=numerator, denominator=denominator
        )
    starts, ends = seconds(notes.start_tick), seconds(notes.end_tick)
    columns = [getattr(notes, name).tolist() for name in _NUMBERS]
    for row in zip(starts, ends, *columns, strict=True):
        sequence.notes.add(**dict(zip(_SEQUENCE_FIELDS, row, strict=True)))
    for tick, instrument, value in notes.pedals.tolist():
        sequence.control_changes.add(
            time=seconds(tick),
            instrument=instrument,
            control_number=SUSTAIN_CONTROL,
            control_value=value,
        )
    sequence.total_time = float(max(ends.max(initial=0), seconds(notes.length_tick)))
    return sequence


def seconds_of(notes: Notes) -> Callable[[Any], Any]:
    """A function from ticks to seconds along the tempo map."""
    ticks = np.concatenate([[0], notes.tempo_ticks])
    qpms = np.concatenate([[DEFAULT_QPM], notes.tempo_qpms])
    seconds_per_tick = 60 / qpms / notes.ticks_per_quarter
    at = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * seconds_per_tick[:-1])])

    def seconds(tick: Any) -> Any:
        k = np.searchsorted(ticks, tick, side="right") - 1
        return at[k] + (tick - ticks[k]) * seconds_per_tick[k]

    return seconds
