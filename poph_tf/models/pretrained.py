"""Models that come with the package: found by name, listed, chosen.

Each is a folder here that tools/publish_pretrained.py wrote: `model.keras` and
`config.json` as `poph_tf.train` writes them, `card.md` for people and `card.json` for
programs (see evaluation/model_cards.py). Wherever a command or `poph_tf.load` takes a
model directory, it takes the name of one of these, unless a model directory
has that name. `poph_tf.load` also takes a style that one of them knows.
"""

import json
import os

from poph_tf.errors import InputError
from poph_tf.models import WEIGHTS_FILE

ROOT = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pretrained"
)
# The one that composes where no model is named, if it is there.
DEFAULT = "scores"
MEGABYTE = 1e6


def names():
    """Names of the models, the default first: tuple of str."""
    found = [
        name
        for name in sorted(os.listdir(ROOT))
        if _holds_model(os.path.join(ROOT, name))
    ]
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def path_of(name):
    """The directory of a pretrained model, or None."""
    return os.path.join(ROOT, name) if name in names() else None


def resolve(model):
    """The directory that a name means.

    Args:
        model: str or path: a directory, a `.keras` file, or a pretrained model's name.

    Returns:
        str.

    Raises:
        InputError: If it is none of these.
    """
    model = str(model)
    path = path_of(model)
    # A folder of music may be called as a model is.
    if path and not _holds_model(model):
        return path
    if model.endswith(".keras") or os.path.isdir(model):
        return model
    raise InputError(
        f"There is no model directory {model!r}, and no pretrained model of that name; "
        f"{_known()}"
    )


def resolve_style(model):
    """Like `resolve`, and takes a style of a pretrained model.

    Returns:
        (str, the directory; str, the style, "" where it was no style).
    """
    model = str(model)
    if not path_of(model) and not _holds_model(model):
        for name in names():
            if model in styles_of(name):
                return path_of(name), model
    return resolve(model), ""


def _holds_model(folder):
    return os.path.exists(os.path.join(folder, WEIGHTS_FILE))


def chosen(model_dir=None, pretrained=None):
    """The model that a command was asked for; without any the default.

    Args:
        model_dir: str or None, a directory or a pretrained model's name.
        pretrained: str or None, a pretrained model's name.

    Returns:
        str, a directory.

    Raises:
        InputError: If both are given, or there is no such model.
    """
    if model_dir and pretrained:
        raise InputError("Give --model_dir or --pretrained, not both.")
    if model_dir:
        return resolve(model_dir)
    if pretrained and pretrained not in names():
        raise InputError(f"There is no pretrained model {pretrained!r}; {_known()}")
    if not names():
        raise InputError(
            "This installation has no pretrained model: give --model_dir, a directory "
            "that poph_tf.train wrote."
        )
    return path_of(pretrained or names()[0])


def card(name):
    """What `card.json` says of a model, a dict."""
    with open(os.path.join(path_of(name), "card.json"), encoding="utf-8") as file:
        return json.load(file)


def styles_of(name):
    """The styles that a model knows: list of str."""
    path = os.path.join(path_of(name), "config.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)["model"]["styles"]


def table():
    """All of them as text, a paragraph each; what there is to say where none is."""
    paragraphs = [_paragraph(name) for name in names()]
    return "\n\n".join(paragraphs) or "This installation has no pretrained model."


def _paragraph(name):
    about = card(name)
    weights = os.path.join(path_of(name), WEIGHTS_FILE)
    size = os.path.getsize(weights) / MEGABYTE
    default = ", the default" if name == names()[0] else ""
    return (
        f"{name}{default}: {about['description']}\n"
        f"  styles:  {', '.join(styles_of(name))}\n"
        f"  size:    {size:.1f} MB\n"
        f"  licence: {about['licence']}"
    )


def _known():
    known = ", ".join(names()) or "none here"
    return f"pretrained models: {known}."
