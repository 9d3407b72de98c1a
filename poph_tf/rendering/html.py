"""Makes a single HTML page that plays and draws a list of pieces.

The page contains everything (notes, sound, MIDI files, program) and loads nothing from
the network, so it can be opened from disk or sent by mail. If a piece has no recorded
sound, the page plays it with WebAudio. The program is plain JavaScript in `web/`; the
studio uses four of its modules too (dom, score, synth, player). It reads this JSON:

    pieces: [{title, details, secondsPerStep, steps, bars: [step], beats: [step],
              tracks: [{name, colour}], notes: [[start, end, pitch, velocity, track]],
              audio: URI|null, midi: URI|null}]

The notes of the first track come last, so that they are drawn on top.
"""

import base64
import dataclasses
import functools
import importlib.resources
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import jinja2
import numpy as np

from poph_tf.data import matrices as matrices_lib
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.rendering import piano_roll

WEB = importlib.resources.files("poph_tf.rendering") / "web"
# The modules that the studio uses too.
SHARED = ("dom.js", "score.js", "synth.js", "player.js")
SCRIPTS = (*SHARED, "sound.js", "roll.js", "card.js")
# Module syntax, removed because a page joins all files into one script.
MODULE_WORDS = re.compile(r"^(import [^;]*;\n|export )", re.MULTILINE)
HINT = (
    "Space plays and pauses, the arrow keys move by one bar, a click into a roll moves "
    "there."
)
NUM_PAIRS = 10
EXCERPT_STEPS = 256
BLIND_TEMPO_QPM, BLIND_VELOCITY = 90.0, 80
TITLE = "Pieces composed by poph_tf"


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """One piece of a page.

    Args:
        title: Shown above the piano roll.
        matrices: The notes to draw.
        audio: Content of its .wav or .mp3 file; None: the page plays the notes.
        midi: Content of its .mid file, offered for download, or None.
        details: A line below the title.
    """

    title: str
    matrices: Matrices
    audio: bytes | None = None
    midi: bytes | None = None
    details: str = ""


def page(pieces: Iterable[Piece], title: str = TITLE, shared: str = "") -> str:
    """Returns the page as HTML text.

    Args:
        pieces: at least one.
        title: of the page.
        shared: address, without suffix, of files that several pages share: a `.js` with
            `program()` and a `.css` with web/page.css; empty: the page includes both.

    Raises:
        InputError: If there are no pieces.
    """
    described = [_describe(piece) for piece in pieces]
    if not described:
        raise InputError("A page needs at least one piece, got none.")
    return _render(title, HINT, program(), {"pieces": described}, shared)


def program(last: str = "page.js") -> str:
    """The script of a page; `last` is the file that uses the others."""
    parts = [(WEB / name).read_text("utf-8") for name in (*SCRIPTS, last)]
    return '"use strict";\n' + MODULE_WORDS.sub("", "\n".join(parts))


def blind_test(
    composed: Sequence[Matrices], real: Sequence[Matrices], seed: int = 0
) -> str:
    """Returns a page of pairs, one composed and one real, for people to tell apart.

    Each piece is cut to its first 16 bars, with the same tempo and loudness; the page
    counts the answers and saves them as JSON.

    Args:
        composed: The composed pieces; up to ten of them are drawn at random.
        real: The real pieces, likewise.
        seed: Seed of the draw and of the order in each pair.

    Raises:
        InputError: If either list is empty.
    """
    random = np.random.default_rng(seed)
    sets = [random.permutation(len(pieces))[:NUM_PAIRS] for pieces in (composed, real)]
    pairs = []
    for ours, theirs in zip(*sets, strict=False):
        place = int(random.integers(2))
        pieces = [real[theirs], real[theirs]]
        pieces[place] = composed[ours]
        described = [_excerpt(p, title) for p, title in zip(pieces, "AB", strict=True)]
        names = {"composed": int(ours), "real": int(theirs)}
        pairs.append({"pieces": described, "composed": place, "names": names})
    if not pairs:
        raise InputError("A blind test needs composed and real pieces, got none.")
    hint = "One piece of each pair is real, the other composed. Which is which?"
    return _render("Real or composed?", hint, program("blind.js"), {"pairs": pairs})


def _excerpt(piece: Matrices, title: str) -> dict[str, Any]:
    cells = piece.cells[:EXCERPT_STEPS].copy()
    cells[..., matrices_lib.VOLUME] = BLIND_VELOCITY
    return _describe(
        Piece(
            title,
            dataclasses.replace(
                piece,
                cells=cells,
                bar_position=piece.bar_position[:EXCERPT_STEPS],
                tempo_qpm=BLIND_TEMPO_QPM,
                tracks=(),
            ),
        )
    )


def _render(
    title: str, hint: str, script: str, data: dict[str, Any], shared: str = ""
) -> str:
    template = _environment().get_template("index.html")
    return template.render(
        title=title, hint=hint, script=script, data=data, shared=shared
    )


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
    tracks = [(track.name, track.cells) for track in matrices.tracks]
    tracks = tracks or [("", matrices.cells)]
    shades = itertools.cycle(piano_roll.TRACK_SHADES)
    notes = [
        [*map(int, note), k]
        for k, (_, cells) in reversed([*enumerate(tracks)])
        for note in np.stack(matrices_lib.spans(cells), axis=1)
    ]
    return {
        "title": piece.title,
        "details": piece.details,
        "secondsPerStep": 60 / matrices.tempo_qpm / matrices.steps_per_quarter,
        "steps": len(matrices),
        "bars": np.flatnonzero(position == 0).tolist(),
        "beats": np.flatnonzero(position % matrices.steps_per_quarter == 0).tolist(),
        "tracks": [
            {"name": name, "colour": shade[1]}
            for (name, _), shade in zip(tracks, shades, strict=False)
        ],
        "notes": notes,
        "audio": _uri(piece.audio, _audio_type(piece.audio)),
        "midi": _uri(piece.midi, "audio/midi"),
    }


def _audio_type(content: bytes | None) -> str:
    return "audio/wav" if (content or b"").startswith(b"RIFF") else "audio/mpeg"


def _uri(content: bytes | None, media_type: str) -> str | None:
    if content is None:
        return None
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
