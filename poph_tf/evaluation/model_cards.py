"""Model cards: what a published model is made of, what it does well and badly.

A card is a dict, kept as `card.json` with the weights for programs and rendered as
`card.md` for people:

    description, data, licence    str, by hand
    good, bad                     lists of str, by hand: what to expect of the model
    figures                       dict, measured: `test` as poph_tf.evaluate prints it,
                                  `controls` as tools/measure_controls.py prints it,
                                  `music` as poph_tf.evaluate --compare prints it

What the network is and how it was trained comes from the model's own `config.json`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from poph_tf import files
from poph_tf.errors import InputError
from poph_tf.evaluation import control_trials, results
from poph_tf.models import LIGHT_FILE

WRITTEN_BY_HAND = ("description", "data", "licence", "good", "bad")
# Settings of training that the card shows.
SHOWN_TRAINING = (
    "window_steps", "batch_size", "optimizer", "learning_rate", "schedule", "clip_norm",
    "seed",
)  # fmt: skip

SHOWN_MUSIC = (
    ("parallels", "parallel fifths or octaves, per 100 changes of chord"),
    ("outer_parallels", "of these between the outer voices"),
    ("ends_on_tonic_triad", "ends on the tonic triad"),
    ("ends_with_cadence", "last two chords V-I or viio-I"),
    ("four_pitches_share", "exactly four pitches sounding"),
    ("complete_triads", "complete triads on the beat"),
    ("semitone_clashes", "chords with a semitone clash"),
    ("out_of_key_share", "sounding cells outside the key"),
    ("key_drift", "distance between the keys of successive 8-bar windows, in fifths"),
    ("returning_figures", "four-note figures that come back"),
    ("final_voices", "voices sounding at the end"),
    ("polyphony", "voices sounding"),
    ("notes_per_bar", "notes per bar"),
    ("chord_changes_per_bar", "chord changes per bar"),
    ("distinct_bars", "distinct bars"),
    ("copied_attacks", "longest passage also in a real piece, in attacks"),
)


def check(card: Mapping[str, Any]) -> None:
    """Raises InputError unless a card has all parts that are written by hand."""
    missing = [name for name in WRITTEN_BY_HAND if not card.get(name)]
    if missing:
        raise InputError(f"A model card must have {', '.join(missing)}.")


def publish(model_dir: Path, output_dir: Path, card: Mapping[str, Any]) -> None:
    """Puts a model's weights, settings and card into their own folder.

    All input is checked before the first file is replaced.

    Args:
        model_dir: a directory written by poph_tf.train.
        output_dir: the folder; its name is the model's.
        card: the model's card.

    Raises:
        InputError: If a file of the model is missing, or the card lacks something.
    """
    check(card)
    config = results.read(model_dir / "config.json")
    weights = model_dir / "model.keras"
    if not weights.exists():
        raise InputError(f"{weights} does not exist: train the model first.")
    name = output_dir.name
    try:
        text = render(name, card, config)
    except (KeyError, TypeError, jinja2.UndefinedError) as error:
        raise InputError(
            f"The figures of {name} must be what poph_tf.evaluate and "
            f"tools/measure_controls.py print; they lack {error}."
        ) from error
    output_dir.mkdir(parents=True, exist_ok=True)
    # One made from the previous weights would compose in place of the new ones.
    (output_dir / LIGHT_FILE).unlink(missing_ok=True)
    for file in (weights, model_dir / "config.json", model_dir / LIGHT_FILE):
        if file.exists():
            files.write(output_dir / file.name, file.read_bytes())
    files.write_json(output_dir / "card.json", card)
    files.write(output_dir / "card.md", text)


def render(name: str, card: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The card of a model as Markdown.

    Args:
        name: the model's name.
        card: the card.
        config: content of the model's `config.json`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poph_tf.evaluation"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = results.number
    figures = card.get("figures", {})
    test = figures.get("test")
    # Cards of version 0.1 call them steering.
    controls = figures.get("controls") or figures.get("steering")
    return environment.get_template("card.md.jinja").render(
        config,
        name=name,
        card=card,
        shown=SHOWN_TRAINING,
        shown_music=SHOWN_MUSIC,
        music=figures.get("music"),
        test=test,
        test_rows=[*((test or {}).get("styles") or {}).items(), ("all", test)],
        controls=controls,
        control_tables=controls and control_trials.table(controls),
    )
