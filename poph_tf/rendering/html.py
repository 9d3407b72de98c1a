"""Writes one HTML file in which a batch of pieces can be heard and seen.

The file holds everything (notes, sound, MIDI files, program) and asks for nothing from
the network, so it can be opened from a disk or sent by mail. Where a piece has no sound
file, the page plays its notes itself with WebAudio. The program is plain JavaScript, in
`pages/`; what it reads is the JSON made here:

    pieces: [{title, details, secondsPerStep, steps, bars: [step], beats: [step],
              notes: [[start, end, pitch, velocity]], audio: URI|null, midi: URI|null}]
"""

import base64
import dataclasses
import html
import importlib.resources
import json
import os
import pathlib

import numpy as np

from poph_tf.data import matrices as matrices_lib
from poph_tf.errors import InputError
from poph_tf.rendering import audio


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """One piece of a page.

    Args:
        title: str.
        matrices: matrices.Matrices. What the roll shows.
        audio: str or path of its .wav or .mp3, or None: the page plays the notes.
        midi: str or path of its .mid, offered for saving, or None.
        details: str. A line below the title.
    """

    title: str
    matrices: matrices_lib.Matrices
    audio: str | os.PathLike | None = None
    midi: str | os.PathLike | None = None
    details: str = ""


def write_page(pieces, path, *, title="Pieces composed by poph_tf"):
    """Writes the page.

    Args:
        pieces: list of Piece.
        path: str or path of the .html to write.
        title: str. The heading.

    Raises:
        InputError: If there are no pieces, or a file cannot be read or written.
    """
    pieces = list(pieces)
    if not pieces:
        raise InputError("A page needs at least one piece.")
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        text = _fill(title, [_describe(piece) for piece in pieces])
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}.") from error


def _fill(title, described):
    pages = importlib.resources.files("poph_tf.rendering") / "web"
    # "</script>" inside a string would end the script that holds the data.
    data = json.dumps({"pieces": described}, separators=(",", ":"))
    filled = (pages / "index.html").read_text("utf-8")
    for mark, text in (
        ("{{title}}", html.escape(title)),
        ("{{style}}", (pages / "page.css").read_text("utf-8")),
        ("{{program}}", _programs(pages)),
        ("{{data}}", data.replace("<", "\\u003c")),
    ):
        filled = filled.replace(mark, text)
    return filled


def _programs(pages):
    return "\n".join(
        (pages / name).read_text("utf-8") for name in ("sound.js", "roll.js", "page.js")
    )


def _describe(piece):
    """What the page's program reads of a piece."""
    matrices = matrices_lib.canonical(piece.matrices)
    position = matrices.bar_position.astype(int)
    starts, ends, pitches, velocities = matrices_lib.spans(matrices.cells)
    notes = np.stack([starts, ends, pitches, velocities], axis=1)
    return {
        "title": piece.title,
        "details": piece.details,
        "secondsPerStep": 60 / matrices.tempo_qpm / matrices.steps_per_quarter,
        "steps": len(matrices),
        "bars": np.flatnonzero(position == 0).tolist(),
        "beats": np.flatnonzero(position % matrices.steps_per_quarter == 0).tolist(),
        "notes": notes.tolist(),
        "audio": _audio_uri(piece.audio) if piece.audio else None,
        "midi": _uri(piece.midi, "audio/midi") if piece.midi else None,
    }


def _audio_uri(path):
    compressed = audio.compress(path)
    if compressed is None:
        return _uri(path, "audio/wav")
    return _encode(compressed, "audio/mpeg")


def _uri(path, kind):
    return _encode(pathlib.Path(path).read_bytes(), kind)


def _encode(content, kind):
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
