"""The responses of the API: models for OpenAPI, files and events."""

import json
from collections.abc import Sequence
from typing import Any

import pydantic

from poph_tf.data import matrices
from poph_tf.data.matrices import Matrices
from poph_tf.generation.request import Request as Drawing
from poph_tf.serving.api import bodies, scores
from poph_tf.serving.api.composing import ServedModel

MIDI, MUSICXML = "audio/midi", "application/vnd.recordare.musicxml+xml"
EVENTS = "text/event-stream"
MEDIA_TYPES = {
    "midi": MIDI,
    "musicxml": MUSICXML,
    "wav": "audio/wav",
    "png": "image/png",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
}
SUFFIXES = {"midi": ".mid"}

JSON = "application/json"
NO_BUFFER = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# A header that lists what was changed in the given music, as JSON in ASCII.
CHANGES = "X-Changes"
DEFECT = "The server failed; its log has the details."


class Error(pydantic.BaseModel):
    """Why a request was rejected."""

    error: str


class Piece(scores.Score):
    """A composed piece; its seed reproduces it as the only candidate."""

    seed: int
    key: str
    """The key given to the network, such as "G minor"; empty: none."""


class Pieces(pydantic.BaseModel):
    """The response with pieces.

    Sending `settings` to the same endpoint gives the same response again.
    """

    pieces: list[Piece]
    settings: dict[str, Any]
    model: dict[str, str]
    task: str
    changes: list[str]


class ScoredNote(scores.Note):
    """A note and how surprising it is to a model."""

    nats: float | None
    """None outside the model's pitches."""


class Scored(pydantic.BaseModel):
    """How surprising music is to a model."""

    notes: list[ScoredNote]
    nats_per_step: list[float]
    changes: list[str]


FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "The request cannot be answered."},
    "503": {"model": Error, "description": "Too much work at once; try again."},
}


_TUNE = {"abc": "X:1\nL:1/4\nK:G\nG A B c|\n"}
_NOTE = {"pitch": 67, "start": 0, "duration": 4}
# An example body for each endpoint.
EXAMPLES: dict[str, dict[str, Any]] = {
    "compose": {"num_bars": 8, "seed": 3, "key": "G major"},
    "continue": {"music": _TUNE, "num_bars": 4},
    "harmonize": {"music": _TUNE, "given": ["soprano"], "candidates": 2},
    "accompany": {"music": _TUNE, "given": ["soprano"]},
    "infill": {"music": _TUNE, "bars": "1", "given": ["soprano"]},
    "vary": {"music": _TUNE, "draw": ["soprano"], "bars": "1", "temperature": 1.2},
    "reharmonize": {"music": _TUNE, "given": ["soprano"]},
    "read": {"music": _TUNE},
    "score": {"music": {"notes": [_NOTE], "metre": "4/4", "tempo": 96.0}},
    "render": {"music": {"notes": [_NOTE]}, "format": "musicxml"},
}
FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["music"],
            "properties": {
                "music": {"type": "string", "format": "binary"},
                "settings": {"type": "string", "description": "a JSON object"},
            },
        }
    }
}
HEADERS = {
    CHANGES: {
        "description": "What was changed in the given music, if the body does not list "
        "it: a JSON list of sentences.",
        "schema": {"type": "string"},
    }
}
PIECES: dict[str, Any] = {
    "model": Pieces,
    "description": "The pieces; with `Accept`, the first as a file, or bars as events.",
    "headers": HEADERS,
    "content": {MIDI: {}, MUSICXML: {}, EVENTS: {}},
}
SCORE: dict[str, Any] = {
    "model": scores.Score,
    "description": "The score.",
    "headers": HEADERS,
}
FILES: dict[str, Any] = {
    "description": "The file.",
    "content": {kind: {} for kind in MEDIA_TYPES.values()},
}


def told(changes: Sequence[str]) -> dict[str, str]:
    """The header that lists what was changed, sent with a file or a score."""
    return {CHANGES: json.dumps(list(changes))} if changes else {}


class Answer:
    """The response to a request for pieces."""

    def __init__(
        self,
        model: ServedModel,
        body: bodies.Settings,
        task: str,
        notes: Any,
        drawings: Sequence[Drawing],
    ) -> None:
        self.model, self.body, self.task = model, body, task
        self.notes, self.drawings = notes, drawings
        self.changes = drawings[0].task.changes

    def text(self, pieces: Sequence[Matrices]) -> str:
        """The response as JSON."""
        seeds = [int(drawing.controls.seed[0, 0]) for drawing in self.drawings]
        found = [
            {**scores.of_matrices(piece), "seed": seed, "key": piece.key}
            for piece, seed in zip(pieces, seeds, strict=True)
        ]
        settings = self.body.model_dump(mode="json", exclude_unset=True)
        settings |= {"model": self.model.name, "seed": seeds[0]}
        if self.notes is not None:
            settings["music"] = scores.of_matrices(matrices.from_notes(self.notes))
        answer = {
            "pieces": found,
            "settings": settings,
            "model": {"name": self.model.name, "id": self.model.id},
            "task": self.task,
            "changes": list(self.changes),
        }
        return json.dumps(answer, separators=(",", ":"))


def event_text(name: str, data: str) -> str:
    """The text of an event of a stream."""
    return f"event: {name}\ndata: {data}\n\n"
