"""Makes the manual's gallery: eight pieces of each kind, seeds 0 to 7, unselected.

    python tools/make_gallery.py --data_dir=data/bach_chorales
    python tools/make_gallery.py --kinds=scores,pop909          # only these again

All tasks except composing start from the first eight pieces of --data_dir on which
neither `chorales` nor `scores` was trained. For each kind, docs/results/gallery/ gets a
page that plays the pieces and draws their rolls, and the scores; the measures go into
docs/results/gallery.md, between the kind's marker and the next `<!-- end -->`.
"""

import io
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poph_tf import files, theory
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.cli.progress import Progress
from poph_tf.data import editing, examples, matrices, midi
from poph_tf.data.matrices import PLAY, Matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import comparison, model_cards, results
from poph_tf.models import pretrained
from poph_tf.rendering import html, saving

if TYPE_CHECKING:
    from poph_tf.generation.composer import Composer

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "gallery.md"
PIECES = 8
# Each kind: the model and the settings.
NEW = {"num_bars": 16}
CONTINUE = {"task": "continue", "from_bar": 5, "num_bars": 12}
INFILL = {"task": "infill", "bars": "5-8"}
BACH, POP = {"style": "bach"}, {"tempo_qpm": 80}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "chorales": ("chorales", NEW),
    "continue": ("chorales", CONTINUE),
    "harmonize": ("chorales", {"task": "harmonize"}),
    "reharmonize": ("chorales", {"task": "reharmonize"}),
    "infill": ("chorales", INFILL),
    "vary": ("chorales", {"task": "vary", "draw": ("alto", "tenor")}),
    "scores": ("scores", NEW),
    "scores-continue": ("scores", {**CONTINUE, **BACH}),
    "scores-harmonize": ("scores", {"task": "harmonize", **BACH}),
    "scores-infill": ("scores", {**INFILL, **BACH}),
    "pop909": ("pop909", {**NEW, **POP}),
    "accompany": ("pop909", {"task": "accompany", **POP}),
}
# Tasks that get only the soprano, like a user's tune.
OF_MELODIES = ("harmonize", "accompany")
# Pieces that `chorales` has not seen but `scores` has, among the first ones.
SEEN_BY_SCORES = {"bwv43.11", "bwv322", "bwv313", "bwv278", "bwv2.6"}
VOICES: tuple[str, ...] = (
    "parallels",
    "ends_on_tonic_triad",
    "ends_with_cadence",
    "four_pitches_share",
)
VOICES += ("semitone_clashes", "out_of_key_share", "final_voices", "distinct_bars")
NOTES = ("out_of_key_share", "polyphony", "notes_per_bar", "distinct_bars")
SHARED = "player"  # docs/hooks.py puts its files there
SCORE_WIDTH, GREYS, SCORE_PICTURE = 900, 4, "x.score.png"
FLAGS = flags.FLAGS


def main(_: Sequence[str]) -> None:
    """Composes, draws, measures and writes."""
    kinds = FLAGS.kinds or list(KINDS)
    if any("task" in KINDS[kind][1] for kind in kinds):
        own_flags.require("data_dir")
    import poph_tf

    PAGE.with_suffix("").mkdir(exist_ok=True)
    text = PAGE.read_text("utf-8")
    with Progress(len(kinds) * PIECES, "pieces") as progress:
        for kind in kinds:
            composer = poph_tf.load(KINDS[kind][0])
            pieces = []
            for piece in compose(kind, composer):
                pieces.append(piece)
                progress.update(kinds.index(kind) * PIECES + len(pieces))
            draw(kind, pieces, PAGE.with_suffix(""))
            text = filled(text, kind, measured(kind, pieces))
    files.write(PAGE, text)


def compose(kind: str, composer: "Composer") -> Iterator[Matrices]:
    """The pieces of a kind, as a user gets them with these seeds."""
    options = KINDS[kind][1]
    pieces = unseen(FLAGS.data_dir) if "task" in options else itertools.repeat(None)
    for seed, music in zip(range(PIECES), pieces, strict=False):
        own = {"style": composer.styles[seed % len(composer.styles)], **options}
        if music:
            own |= given(options["task"], music)
        yield composer.compose(**own, seed=seed).matrices


def given(task: str, piece: Matrices) -> dict[str, Any]:
    """The input that a task gets from a chorale."""
    if task in OF_MELODIES:
        return {"music": editing.only(piece, piece.tracks[0])}
    if task == "reharmonize":
        return {"music": piece, "key": relative_key(piece)}
    return {"music": piece}


def relative_key(piece: Matrices) -> str:
    """The relative minor of a piece in major, or the relative major."""
    key = theory.find_key(piece.cells[..., PLAY])
    tonic = key + 9 if key < theory.NUM_PITCH_CLASSES else key + 3
    mode = theory.NUM_PITCH_CLASSES * (key < theory.NUM_PITCH_CLASSES)
    return theory.key_name(tonic % theory.NUM_PITCH_CLASSES + mode)


def unseen(data_dir: str) -> Iterator[Matrices]:
    """The chorales on which no network was trained, in data set order."""
    from poph_tf.data import dataset  # imports TensorFlow

    known = results.read(pretrained.resolve("chorales") / "config.json")["data"]["id"]
    if examples.read_info(data_dir).id != known:
        raise InputError(
            f"{data_dir} is not the data set on which chorales was trained: its "
            f"held-out pieces may be others. {PAGE.name} says how to make that one."
        )
    for name in ("test", "valid"):
        for piece in dataset.read_split(data_dir, name):
            if Path(piece.source).name.removesuffix(".mxl") not in SEEN_BY_SCORES:
                yield piece.matrices


def draw(kind: str, pieces: Sequence[Matrices], folder: Path) -> None:
    """Writes the page that plays the pieces, and the pictures of the scores."""
    from PIL import Image

    shown = []
    for seed, piece in enumerate(pieces):
        content = midi.to_bytes(matrices.to_sequence(piece))
        shown.append(html.Piece(f"Seed {seed}", piece, midi=content))
        picture = saving.render(piece, SCORE_PICTURE)
        assert isinstance(picture, bytes)
        score = Image.open(io.BytesIO(picture))
        height = score.height * SCORE_WIDTH // score.width
        small = score.convert("L").resize((SCORE_WIDTH, height)).quantize(GREYS)
        small.save(stream := io.BytesIO(), "png", optimize=True)
        files.write_output(folder / f"{kind}-{seed}.png", stream.getvalue())
    files.write_output(
        folder / f"{kind}.html", html.page(shown, f"Gallery: {kind}", SHARED)
    )


def measured(kind: str, pieces: Sequence[Matrices]) -> str:
    """A table of the measures: each piece, their mean, and the mean of real music."""
    card = results.read(pretrained.resolve(KINDS[kind][0]) / "card.json")
    real = card["figures"].get("music")
    words, rows = dict(model_cards.SHOWN_MUSIC), []
    for name in VOICES if KINDS[kind][0] == "chorales" else NOTES:
        values = [comparison.MEASURES[name](piece) for piece in pieces]
        mean = real[name]["reference"]["mean"] if real else np.nan
        shown = [*values, np.nanmean(values), mean]
        rows.append([words[name], *("" if np.isnan(v) else f"{v:.2g}" for v in shown)])
    return results.table(["seed", *range(len(pieces)), "mean", "real"], rows)


def filled(text: str, kind: str, table: str) -> str:
    """The page with the player, the scores and the table of a kind filled in."""
    names = [f"gallery/{kind}-{seed}.png" for seed in range(PIECES)]
    scores = [f"[![Seed {seed}]({name})]({name})" for seed, name in enumerate(names)]
    half = PIECES // 2
    body = f"[Listen, view the rolls, download the MIDI files](gallery/{kind}.html)\n\n"
    body += f'<iframe src="gallery/{kind}.html" title="{kind}" loading="lazy"></iframe>'
    body += "\n\n" + results.table(scores[:half], [scores[half:]]) + "\n" + table
    place = re.compile(f"(<!-- gallery: {kind} -->\n).*?(<!-- end -->)", re.DOTALL)
    return place.sub(lambda match: match[1] + body + match[2], text)


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "The data set of `chorales`.")
    flags.DEFINE_list("kinds", [], f"Some of {', '.join(KINDS)}; empty: all.")
    commands.run(main)
