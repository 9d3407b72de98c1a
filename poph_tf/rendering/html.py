"""Makes one HTML page that plays and draws a list of pieces.

The page holds everything (notes, sound, MIDI files, program) and requests nothing from
the network, so it can be opened from a disk or sent by mail. A piece without recorded
sound is played by the page with WebAudio. The program is plain JavaScript in `web/`; it
reads this JSON:

    pieces: [{title, details, secondsPerStep, steps, bars: [step], beats: [step],
              notes: [[start, end, pitch, velocity]], audio: URI|null, midi: URI|null}]
"""

import base64
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jinja2
import numpy as np

from poph_tf.data import matrices as matrices_lib
from poph_tf.errors import InputError

SCRIPTS = ("sound.js", "roll.js", "page.js")
TITLE = "Pieces composed by poph_tf"


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """One piece of a page.

    Args:
        title: Shown above the piano roll.
        matrices: The notes to draw.
        audio: Content of its .wav or .mp3 file; None lets the page play the notes.
        midi: Content of its .mid file, offered for download; None offers none.
        details: A line below the title.
    """

    title: str
    matrices: matrices_lib.Matrices
    audio: bytes | None = None
    midi: bytes | None = None
    details: str = ""


def page(pieces: Iterable[Piece], title: str = TITLE) -> str:
    """Returns the page as HTML text.

    Raises:
        InputError: If there are no pieces.
    """
    described = [_describe(piece) for piece in pieces]
    if not described:
        raise InputError("A page needs at least one piece, got none.")
    template = _environment().get_template("index.html")
    return template.render(title=title, scripts=SCRIPTS, data={"pieces": described})


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poph_tf.rendering", "web"), autoescape=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _describe(piece: Piece) -> dict[str, Any]:
    """Returns the JSON object that the page's program reads."""
    matrices = matrices_lib.canonical(piece.matrices)
    position = matrices.bar_position.astype(int)
    notes = np.stack(matrices_lib.spans(matrices.cells), axis=1)
    return {
        "title": piece.title,
        "details": piece.details,
        "secondsPerStep": 60 / matrices.tempo_qpm / matrices.steps_per_quarter,
        "steps": len(matrices),
        "bars": np.flatnonzero(position == 0).tolist(),
        "beats": np.flatnonzero(position % matrices.steps_per_quarter == 0).tolist(),
        "notes": notes.tolist(),
        "audio": _uri(piece.audio, _audio_type(piece.audio)),
        "midi": _uri(piece.midi, "audio/midi"),
    }


def _audio_type(content: bytes | None) -> str:
    return "audio/wav" if (content or b"").startswith(b"RIFF") else "audio/mpeg"


def _uri(content: bytes | None, media_type: str) -> str | None:
    if content is None:
        return None
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
