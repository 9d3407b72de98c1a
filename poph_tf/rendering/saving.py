"""Pieces as files that a person opens: .mid, .png, .wav and one page for all of them.

    piece-1.mid  piece-1.png  piece-1.wav  ...  index.html

Pictures need matplotlib and sound needs tinysoundfont (extra `media`). Asked for and
missing, they are an error; left to themselves, they are made where they can be, and
sound of pieces up to half an hour. The .mid files come first: what goes wrong with the
others costs no piece.
"""

import importlib.util
import math
import os

from poph_tf.data import matrices, midi
from poph_tf.rendering import audio, html, piano_roll

# A minute of sound takes 21 MB of memory.
LONGEST_SOUND_UNASKED_SECONDS = 30 * 60
NEEDS = {"png": "matplotlib", "wav": "tinysoundfont"}


def write(pieces, output_dir, config, *, png=None, wav=None, page=True):
    """Writes pieces and what shows them.

    Args:
        pieces: list of Matrices.
        output_dir: str, made if it is missing.
        config: ModelConfig, for the pitches to draw.
        png, wav: bool; None: where what they need is installed.
        page: bool. Whether index.html is written.

    Returns:
        list of the paths written.

    Raises:
        InputError: If something asked for cannot be made.
    """
    png = _installed("png") if png is None else png
    longest_sound = math.inf if wav else LONGEST_SOUND_UNASKED_SECONDS
    wav = _installed("wav") if wav is None else wav
    os.makedirs(output_dir, exist_ok=True)
    stems = [os.path.join(output_dir, f"piece-{k}") for k in range(1, len(pieces) + 1)]
    sequences = [matrices.to_sequence(piece) for piece in pieces]
    for sequence, stem in zip(sequences, stems, strict=True):
        midi.write(sequence, f"{stem}.mid")
    paths, shown = [], []
    for k, (piece, sequence, stem) in enumerate(
        zip(pieces, sequences, stems, strict=True), 1
    ):
        sounds = wav and sequence.total_time <= longest_sound
        paths += _show(piece, sequence, stem, f"Piece {k}", config, png, sounds)
        shown.append(
            html.Piece(
                title=f"Piece {k}",
                matrices=piece,
                audio=f"{stem}.wav" if sounds else None,
                midi=f"{stem}.mid",
                details=f"{config.preset}, {piece.tempo_qpm:g} quarters a minute",
            )
        )
    if page:
        paths.append(os.path.join(output_dir, "index.html"))
        html.write_page(shown, paths[-1])
    return paths


def _show(piece, sequence, stem, title, config, png, wav):
    """Draws and plays a piece; returns the paths of all its files."""
    paths = [f"{stem}.mid"]
    if png:
        piano_roll.plot(
            piece,
            f"{stem}.png",
            title=f"{title} ({config.preset})",
            min_pitch=config.min_pitch,
            num_pitches=config.num_pitches,
        )
        paths.append(f"{stem}.png")
    if wav:
        audio.synthesize(sequence, f"{stem}.wav")
        paths.append(f"{stem}.wav")
    return paths


def _installed(kind):
    return importlib.util.find_spec(NEEDS[kind]) is not None
