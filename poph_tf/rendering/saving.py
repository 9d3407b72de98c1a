"""Writes pieces as files for people: MIDI, scores, pictures, sound and pages.

`save` writes one piece; the suffix of its name decides the kind of file. `save_all`
writes a batch:

    piece-1.mid  piece-1.png  piece-1.wav  ...  index.html

Pictures need matplotlib and sound needs tinysoundfont (extra `media`); scores need
music21, and engraved ones also need verovio (extra `score`). .svg and .score.png files
have the whole score on one page, .pdf files on A4 pages.
"""

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from poph_tf import files, theory
from poph_tf.config import ModelConfig
from poph_tf.data import matrices, midi
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.rendering import (
    audio,
    engraving,
    figures,
    html,
    musicxml,
    piano_roll,
)

# A minute of sound takes 21 MB of memory.
LONGEST_DEFAULT_SOUND_SECONDS = 30 * 60

# The suffix of an engraved picture; .png alone is the piano roll.
SCORE_PICTURE = ".score.png"
# Renders a file of each suffix, from a piece and the arguments of `piano_roll.draw`.
RENDERERS: dict[str, Callable[[Matrices, dict[str, Any]], bytes | str]] = {
    ".mid": lambda piece, _: midi.to_bytes(matrices.to_sequence(piece)),
    ".wav": lambda piece, _: audio.to_wav(_sound(piece)),
    ".mp3": lambda piece, _: audio.to_mp3(_sound(piece)),
    SCORE_PICTURE: lambda piece, _: engraving.to_png(_score(piece)),
    ".png": lambda piece, view: figures.to_png(piano_roll.draw(piece, **view)),
    ".musicxml": lambda piece, _: musicxml.to_musicxml(piece),
    ".pdf": lambda piece, _: engraving.to_pdf(_score(piece)),
    ".svg": lambda piece, view: engraving.to_one_svg(
        _score(piece), view.get("width", engraving.PAGE_PIXELS)
    ),
    ".html": lambda piece, view: html.page(
        [html.Piece(view.get("title") or piece.title or "Composition", piece)]
    ),
}


def save(piece: Matrices, path: str | os.PathLike[str], **view: Any) -> None:
    """Writes a piece as one of the kinds in `RENDERERS`, completely or not at all.

    Args:
        piece: The piece.
        path: The file; its suffix decides the kind.
        **view: `title`, `min_pitch` and `num_pitches` of `piano_roll.draw`.

    Raises:
        InputError: If the suffix is unknown, a package is missing, or the file cannot
            be written.
    """
    files.write_output(path, render(piece, os.fspath(path), **view))


def render(piece: Matrices, name: str, **view: Any) -> bytes | str:
    """The content of a file whose name has one of the suffixes of `RENDERERS`."""
    endings = (e for e in RENDERERS if name.lower().endswith(e))
    ending = next(endings, None)
    if ending is None:
        raise InputError(f"{name}: must end in one of {', '.join(RENDERERS)}.")
    return RENDERERS[ending](piece, view)


def save_all(
    pieces: Sequence[Matrices],
    output_dir: str | os.PathLike[str],
    config: ModelConfig,
    *,
    name: str = "",
    png: bool | None = None,
    wav: bool | None = None,
    page: bool = True,
) -> list[pathlib.Path]:
    """Writes a batch of pieces; MIDI first, so that a later error loses no piece.

    Args:
        pieces: The pieces.
        output_dir: The folder, created if missing.
        config: Configuration of the model, for the pitches to draw.
        name: Name of the model; empty: its preset.
        png: Whether to draw pictures; None draws them if matplotlib is installed.
        wav: Whether to make sound; None makes it for pieces of up to half an hour, if
            tinysoundfont is installed.
        page: Whether to write index.html, which plays and shows all pieces.

    Returns:
        The files written.

    Raises:
        InputError: If a requested file cannot be made.
    """
    folder = pathlib.Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    name = name or config.preset
    shown = [_described(f"Piece {k}", p, name) for k, p in enumerate(pieces, start=1)]
    stems = [path.with_suffix("") for path in midi_paths(folder, len(pieces))]
    for piece, stem in zip(shown, stems, strict=True):
        files.write_output(f"{stem}.mid", piece.midi or b"")
    paths = []
    for k, stem in enumerate(stems):
        shown[k], media = _save_media(shown[k], stem, config, name, png, wav)
        paths += [stem.with_suffix(".mid"), *media]
    if page:
        paths.append(folder / "index.html")
        files.write_output(paths[-1], html.page(shown))
    return paths


def midi_paths(output_dir: pathlib.Path, num_pieces: int) -> list[pathlib.Path]:
    """The MIDI files of a batch of pieces."""
    return [output_dir / f"piece-{k}.mid" for k in range(1, num_pieces + 1)]


def require_kept(
    source: str | os.PathLike[str], written: Sequence[pathlib.Path]
) -> None:
    """Raises InputError if a piece would overwrite the music it is made from."""
    if pathlib.Path(source).resolve() in [path.resolve() for path in written]:
        raise InputError(
            f"{source} would be replaced by a new piece: give another --output_dir."
        )


def _described(title: str, piece: Matrices, model: str) -> html.Piece:
    details = f"{model}, {piece.tempo_qpm:g} quarter notes per minute"
    details += f", in {theory.written_key(piece.key)}" * bool(piece.key)
    content = midi.to_bytes(matrices.to_sequence(piece))
    return html.Piece(title, piece, midi=content, details=details)


def _save_media(
    piece: html.Piece,
    stem: pathlib.Path,
    config: ModelConfig,
    name: str,
    png: bool | None,
    wav: bool | None,
) -> tuple[html.Piece, list[pathlib.Path]]:
    """Writes picture and sound; returns the piece with its sound, and the paths."""
    paths = []
    if _installed("matplotlib") if png is None else png:
        paths.append(stem.with_suffix(".png"))
        save(
            piece.matrices,
            paths[-1],
            title=f"{piece.title} ({name})",
            min_pitch=config.min_pitch,
            num_pitches=config.num_pitches,
        )
    music = piece.matrices
    seconds = len(music) * 60 / music.tempo_qpm / music.steps_per_quarter
    short = _installed("tinysoundfont") and seconds <= LONGEST_DEFAULT_SOUND_SECONDS
    if short if wav is None else wav:
        paths.append(stem.with_suffix(".wav"))
        sound = _sound(music)
        files.write_output(paths[-1], audio.to_wav(sound))
        piece = dataclasses.replace(piece, audio=audio.compact(sound))
    return piece, paths


def _sound(piece: Matrices) -> np.ndarray:
    return audio.synthesize(matrices.to_sequence(piece))


def _score(piece: Matrices) -> bytes:
    """The score to engrave; four voices are set on two staves."""
    return musicxml.to_musicxml(piece, closed=musicxml.is_choir(piece))


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
