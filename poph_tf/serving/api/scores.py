"""Music as JSON: a score, its tracks and its notes.

The start and duration of a note are in steps: sixteenths, at four steps per quarter.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from annotated_types import Interval, MaxLen

from poph_tf import theory
from poph_tf.data import bars, cells, credits, key_signatures
from poph_tf.data.matrices import Matrices, TrackCells
from poph_tf.data.notes import DEFAULT_QPM, HIGHEST_QPM, LOWEST_QPM, Notes
from poph_tf.errors import InputError

MAX_STEPS, MAX_NOTES, MAX_TRACKS, MAX_METRES = 8192, 20_000, 32, 1024
MAX_NAME = 200  # characters
DEFAULT_METRE, DEFAULT_VELOCITY = "4/4", 80

# Only the first error of a list is shown: a million would take minutes and gigabytes.
ONE_ERROR = pydantic.FailFast()
_Name = Annotated[str, MaxLen(MAX_NAME)]
_Number = Annotated[int, Interval(ge=0, le=127)]
_Step = Annotated[int, Interval(ge=0, le=MAX_STEPS)]


class Strict(pydantic.BaseModel):
    """Input from a client: strict types, no unknown fields."""

    model_config = pydantic.ConfigDict(
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_one_unknown(cls, values: Any) -> Any:
        """Keeps one unknown field: each would become an error, and one is shown."""
        if not isinstance(values, dict) or len(values) <= len(cls.model_fields):
            return values
        first = next(name for name in values if name not in cls.model_fields)
        known = {k: v for k, v in values.items() if k in cls.model_fields}
        return {first: values[first], **known}


class ScoreTrack(Strict):
    """An instrument or voice."""

    name: _Name = ""
    program: _Number = 0
    """General MIDI program."""
    is_drum: bool = False
    """Drums are dropped if the model has no track for them."""


class Note(Strict):
    """A note."""

    track: Annotated[int, Interval(ge=0, le=MAX_TRACKS - 1)] = 0
    """Index of the track, from 0."""
    pitch: _Number
    start: _Step
    """The step it begins in."""
    duration: Annotated[int, Interval(ge=1, le=MAX_STEPS)]
    """Its length in steps."""
    velocity: Annotated[int, Interval(ge=1, le=127)] = DEFAULT_VELOCITY


class MetreChange(Strict):
    """A change of time signature at a step."""

    step: _Step
    metre: Annotated[str, MaxLen(20)]


class Score(Strict):
    """Music: tracks and notes."""

    tracks: Annotated[list[ScoreTrack], MaxLen(MAX_TRACKS), ONE_ERROR] = []
    """The instruments; empty: one without a name."""
    notes: Annotated[list[Note], MaxLen(MAX_NOTES), ONE_ERROR]
    num_steps: _Step = 0
    """The length, at least to the end of the last note."""
    steps_per_quarter: Literal[4] = 4
    metre: Annotated[str, MaxLen(20)] = DEFAULT_METRE
    """The time signature at the beginning."""
    metre_changes: Annotated[list[MetreChange], MaxLen(MAX_METRES), ONE_ERROR] = []
    """Further time signatures."""
    tempo: Annotated[float, Interval(ge=LOWEST_QPM, le=HIGHEST_QPM)] = DEFAULT_QPM
    """Quarter notes per minute."""
    pickup: Annotated[int, Interval(ge=0, le=255)] = 0
    """Steps before the first bar line."""
    title: _Name = ""
    composer: _Name = ""
    arranger: _Name = ""
    key: _Name = ""
    """The key, such as 'G minor'; empty: found from the notes."""
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0
    """The seed of a composed piece; ignored in a request."""


def to_notes(score: Score) -> Notes:
    """The notes of a score; a tick is a step.

    Raises:
        InputError: If the score contradicts itself.
    """
    tracks = score.tracks or [ScoreTrack()]
    table = [(n.track, n.pitch, n.start, n.duration, n.velocity) for n in score.notes]
    track, pitch, start, duration, velocity = np.array(table, np.int64).reshape(-1, 5).T
    if len(track) and track.max() >= len(tracks):
        raise InputError(
            f"A note's track must be below {len(tracks)}, the number of tracks, got "
            f"{track.max()}."
        )
    end = start + duration
    if end.max(initial=0) > MAX_STEPS:
        raise InputError(f"Notes must end by step {MAX_STEPS}, got {end.max()}.")
    none = np.zeros((0, 3), np.int64)
    return Notes(
        start,
        end,
        pitch=pitch.astype(np.uint8),
        velocity=velocity.astype(np.uint8),
        program=np.array([t.program for t in tracks], np.uint8)[track],
        instrument=track,
        is_drum=np.array([t.is_drum for t in tracks], bool)[track],
        ticks_per_quarter=score.steps_per_quarter,
        tempo_ticks=np.zeros(1, np.int64),
        tempo_qpms=np.array([score.tempo]),
        time_signatures=_signatures(score),
        pedals=none,
        bar_marks=none[:, :2],
        length_tick=max(score.num_steps, int(end.max(initial=0))),
        names={k: t.name for k, t in enumerate(tracks) if t.name},
        keys=key_signatures.named(score.key),
        **credits.of(score),
    )


def _signatures(score: Score) -> np.ndarray:
    """int64 [change, 3]; a first bar cut short by the second change is an upbeat."""
    first = theory.read_metre(score.metre)
    rows = [(0, *first)]
    if score.pickup:
        bar_steps = _bar_steps(*first)
        if score.pickup >= bar_steps:
            raise InputError(
                f"pickup must be less than a bar of {bar_steps} steps, got "
                f"{score.pickup}."
            )
        rows.append((score.pickup, *first))
    changes = sorted(score.metre_changes, key=lambda change: change.step)
    rows += [(c.step, *theory.read_metre(c.metre)) for c in changes]
    return np.array(rows, np.int64)


def _bar_steps(numerator: int, denominator: int) -> int:
    return numerator * 4 * bars.STEPS_PER_QUARTER // denominator


def of_matrices(piece: Matrices) -> dict[str, Any]:
    """The score of a piece, as `Score` describes it."""
    signatures = piece.time_signatures or bars.guessed(
        piece.bar_position, piece.steps_per_quarter
    )
    _, *first = signatures[0] if signatures else (0, 4, 4)
    position = int(piece.bar_position[0]) if len(piece) else 0
    pickup = max(_bar_steps(*first) - position, 0) if position else 0
    tracks = piece.tracks or [TrackCells("", 0, False, piece.cells)]
    changes = [
        {"step": step, "metre": f"{numerator}/{denominator}"}
        for step, numerator, denominator in signatures[1:]
        if (step, numerator, denominator) != (pickup, *first)
    ]
    return {
        "tracks": [
            {"name": t.name, "program": int(t.program), "is_drum": t.is_drum}
            for t in tracks
        ],
        "notes": [note for k, t in enumerate(tracks) for note in notes_of(t.cells, k)],
        "num_steps": len(piece),
        "steps_per_quarter": piece.steps_per_quarter,
        "metre": "/".join(map(str, first)),
        "metre_changes": changes,
        "tempo": float(piece.tempo_qpm),
        "pickup": pickup,
        **{name: text[:MAX_NAME] for name, text in credits.of(piece).items()},
        **({"key": piece.key} if piece.key else {}),
    }


def notes_of(
    played: np.ndarray, track: int, start: int = 0, low: int = 0
) -> list[dict[str, int]]:
    """The notes of a track's canonical cells, as `Note` describes them.

    Args:
        played: uint8 [step, pitch, 3].
        track: number of the track.
        start: step of the first cells.
        low: MIDI pitch of the first cells.
    """
    columns = [column.tolist() for column in cells.spans(played)]
    return [
        {
            "track": track,
            "pitch": pitch + low,
            "start": start + first,
            "duration": stop - first,
            "velocity": velocity,
        }
        for first, stop, pitch, velocity in zip(*columns, strict=True)
    ]
