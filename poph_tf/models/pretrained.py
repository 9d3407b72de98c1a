"""Models included in the package: found by name, listed, chosen.

Each is a folder of `poph_tf/pretrained/` that tools/publish_pretrained.py wrote:
`model.keras` and `config.json` as `poph_tf.train` writes them, `card.md` for people and
`card.json` for programs (see evaluation/model_cards.py). Every command that takes a
model directory, and `poph_tf.load`, also accepts the name of one of these; a model
directory of the same name takes precedence. `poph_tf.load` also accepts the name of a
style that one of them knows.
"""

import json
import os
import pathlib
from typing import Any

from poph_tf.errors import InputError
from poph_tf.models import SETTINGS_FILE, WEIGHTS_FILE

ROOT = pathlib.Path(__file__).resolve().parents[1] / "pretrained"
# The model used when none is named.
DEFAULT = "chorales"
MEGABYTE = 1e6

Path = str | os.PathLike[str]


def names() -> tuple[str, ...]:
    """Returns the names of the models, the default first."""
    found = [path.name for path in sorted(ROOT.iterdir()) if _holds_model(path)]
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def path_of(name: Path) -> pathlib.Path | None:
    """Returns the directory of a pretrained model, or None."""
    return ROOT / name if str(name) in names() else None


def resolve(model: Path) -> pathlib.Path:
    """Returns the directory or file that a name refers to.

    Args:
        model: A directory, a `.keras` file, or the name of a pretrained model.

    Raises:
        InputError: If it is none of these.
    """
    path = path_of(model)
    # A folder without a model, such as one of music, may have a model's name.
    if path and not _holds_model(model):
        return path
    given = pathlib.Path(model)
    if given.suffix == ".keras" or given.is_dir():
        return given
    raise InputError(
        f"There is no model directory '{model}', and no pretrained model of that name; "
        f"{_known()}"
    )


def resolve_style(model: Path) -> tuple[pathlib.Path, str]:
    """Resolves a name as `resolve` does, or a style of a pretrained model.

    Returns:
        The directory, and the style ("" if the name is not a style).
    """
    if not path_of(model) and not _holds_model(model):
        for name in knowing(str(model)):
            return ROOT / name, str(model)
    return resolve(model), ""


def knowing(style: str) -> list[str]:
    """The models that know a style, in any capitals, the default first."""
    wanted = style.casefold()
    return [name for name in names() if wanted in map(str.casefold, styles_of(name))]


def _holds_model(folder: Path) -> bool:
    return (pathlib.Path(folder) / WEIGHTS_FILE).exists()


def chosen(
    model_dir: Path | None = None, pretrained: str | None = None
) -> pathlib.Path:
    """Returns the directory of the model that a command should use.

    Args:
        model_dir: A directory, or the name of a pretrained model.
        pretrained: The name of a pretrained model. Without either, the default is used.

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
    return ROOT / (pretrained or names()[0])


def card(name: str) -> dict[str, Any]:
    """Reads the `card.json` of a model."""
    return json.loads((ROOT / name / "card.json").read_text("utf-8"))


def styles_of(name: str) -> list[str]:
    """Reads the styles that a model knows."""
    settings = json.loads((ROOT / name / SETTINGS_FILE).read_text("utf-8"))
    return settings["model"]["styles"]


def table() -> str:
    """Describes all models, one paragraph each."""
    paragraphs = [_paragraph(name) for name in names()]
    return "\n\n".join(paragraphs) or "This installation has no pretrained model."


def _paragraph(name: str) -> str:
    about = card(name)
    size = (ROOT / name / WEIGHTS_FILE).stat().st_size / MEGABYTE
    default = ", the default" if name == names()[0] else ""
    return (
        f"{name}{default}: {about['description']}\n"
        f"  styles:  {', '.join(styles_of(name))}\n"
        f"  size:    {size:.1f} MB\n"
        f"  licence: {about['licence']}"
    )


def _known() -> str:
    return f"pretrained models: {', '.join(names()) or 'none here'}."
