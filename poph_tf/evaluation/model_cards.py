"""Model cards: what a published model was made of, what it does well and badly.

A card is a dict, kept as `card.json` beside the weights for programs and rendered as
`card.md` for people:

    description, data, licence    str, by hand
    good, bad                     lists of str, by hand: what to expect of it
    figures                       dict, measured: `test` as poph_tf.evaluate prints it,
                                  `steering` as tools/measure_steering.py prints it

What was trained, and how, comes from the model's own `config.json`.
"""

import json
import os
import shutil

from poph_tf import provenance
from poph_tf.errors import InputError
from poph_tf.evaluation import control_trials

WRITTEN_BY_HAND = ("description", "data", "licence", "good", "bad")
# Settings of training that a reader of the card asks for first.
SHOWN_TRAINING = (
    "window_steps",
    "batch_size",
    "optimizer",
    "learning_rate",
    "schedule",
    "clip_norm",
    "seed",
)


def check(card):
    """Raises InputError unless a card has all that is written by hand."""
    missing = [name for name in WRITTEN_BY_HAND if not card.get(name)]
    if missing:
        raise InputError(f"A model card must have {', '.join(missing)}.")


def publish(model_dir, output_dir, card):
    """Puts a model's weights, settings and card into a folder of their own.

    Whatever can be wrong is looked at before the first file is replaced.

    Args:
        model_dir: str, as poph_tf.train wrote it.
        output_dir: str.
        card: dict.

    Raises:
        InputError: If a file of the model is missing, or the card lacks something.
    """
    check(card)
    config = _read(os.path.join(model_dir, "config.json"))
    weights = os.path.join(model_dir, "model.keras")
    if not os.path.exists(weights):
        raise InputError(f"{weights} is not there: the model is not trained yet.")
    name = os.path.basename(str(output_dir))
    try:
        text = render(name, card, config)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"The figures of {name} must be what poph_tf.evaluate and "
            f"tools/measure_steering.py print, got none of {error}."
        ) from error
    os.makedirs(output_dir, exist_ok=True)
    for name in ("model.keras", "config.json"):
        partial = os.path.join(output_dir, f".{name}.partial")
        shutil.copyfile(os.path.join(model_dir, name), partial)
        os.replace(partial, os.path.join(output_dir, name))
    provenance.write_json(os.path.join(output_dir, "card.json"), card)
    partial = os.path.join(output_dir, ".card.md.partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(partial, os.path.join(output_dir, "card.md"))


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise InputError(
            f"{path} is not there: give a directory that poph_tf.train wrote."
        ) from None


def render(name, card, config):
    """The card as Markdown.

    Args:
        name: str, the model's.
        card: dict.
        config: dict, of `config.json`.

    Returns:
        str.
    """
    lines = [f"# {name}", "", card["description"], ""]
    lines += ["## Data and licence", "", card["data"], "", card["licence"], ""]
    lines += ["## What to expect", ""]
    lines += [f"- {text}" for text in card["good"]]
    lines += [f"- Weak: {text}" for text in card["bad"]]
    lines += ["", "## Settings", "", *_settings(config), ""]
    figures = card.get("figures", {})
    if "test" in figures:
        lines += ["## Test", "", *_test(figures["test"]), ""]
    if "steering" in figures:
        steering = figures["steering"]
        lines += [
            "## Steering",
            "",
            f"{steering['num_pieces']} pieces of {steering['num_bars']} bars for each "
            "thing asked.",
            "",
            control_trials.table(steering),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _settings(config):
    model, training = config["model"], config["training"]
    shown = ", ".join(f"{name} {training[name]}" for name in SHOWN_TRAINING)
    return [
        f"Preset {model['preset']}, {config['num_parameters']:,} parameters, pitches "
        f"{model['min_pitch']} to {model['min_pitch'] + model['num_pitches'] - 1}; "
        f"styles {', '.join(model['styles'])}. {shown}, at most "
        f"{training['max_steps']} steps. `config.json` has all settings, versions and "
        "the id of the data.",
    ]


def _test(test):
    lines = [
        "Nats per step (a sixteenth note), summed over pitches; whole pieces that the "
        f"network had not seen ({test['num_pieces']} pieces).",
        "",
        "| style | play | replay | steps |",
        "|---|---|---|---|",
    ]
    rows = dict(test.get("styles") or {}) | {"all": test}
    for style, figures in rows.items():
        lines.append(
            f"| {style} | {_nats(figures, 'play')} | {_nats(figures, 'replay')} | "
            f"{figures['num_steps']:,} |"
        )
    lines += [
        "",
        f"Per-pitch marginal of the training split: "
        f"{test['marginal_play_nats_per_step']:.3f}. F1 of play "
        f"{test['play_f1']:.3f}. Sounding cells out of key in the test pieces: "
        f"{test['out_of_key_share']:.3f}.",
    ]
    return lines


def _nats(figures, name):
    value = figures[f"{name}_nats_per_step"]
    return "–" if value is None else f"{value:.3f}"
