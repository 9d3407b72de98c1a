"""One form for results: kept as JSON, checked against settings, shown as tables.

A result is a JSON object that holds its figures and all that determines them: the
settings and the id of the data. So an existing result is reused, and one with other
settings is rejected.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poph_tf import files, provenance
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.errors import InputError


def write(path: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a result with its provenance, and returns it."""
    whole = {**result, "provenance": provenance.describe()}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, whole)
    return whole


def read(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: If the file is missing or holds something else.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a JSON file: {error}.") from error


def read_all(folder: Path, pattern: str = "*.json") -> list[dict[str, Any]]:
    """Reads the results of a folder, in the order of their names."""
    return [read(path) for path in sorted(folder.glob(pattern))]


def check_same(
    path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Raises InputError if a stored result has other settings or data.

    Args:
        path: the result's file, for the message.
        stored: the result.
        wanted: `Run.identity`, and other figures that the result must have.
    """
    there, asked = _flat(stored), _flat(wanted)
    other = [name for name in asked if asked[name] != there.get(name)]
    if other:
        first = other[0]
        raise InputError(
            f"{path} is a result of other settings or data ({first} is "
            f"{there.get(first)}, wanted is {asked[first]}): delete it, or choose "
            f"another --output_dir."
        )


def _flat(result: Mapping[str, Any]) -> dict[str, Any]:
    # Use the classes, which know former names and have defaults for new settings.
    settings = result["settings"]
    model = ModelConfig.from_dict(settings["model"]).to_dict()
    training = TrainingConfig.from_dict(settings["training"]).to_dict()
    return model | training | {k: v for k, v in result.items() if k != "settings"}


def table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    r"""A Markdown table; lines end with a line feed.

    Example:
        >>> table(["style", "nats"], [["bach", 2.5]])
        '| style | nats |\n|---|---|\n| bach | 2.5 |\n'
    """
    lines = [header, *rows]
    texts = [f"| {' | '.join(map(str, line))} |\n" for line in lines]
    return "".join([texts[0], "|" + "---|" * len(header) + "\n", *texts[1:]])


def number(value: float | None, form: str = ".3g") -> str:
    """A number for a table; a dash for an unknown one.

    Example:
        >>> number(0.12345), number(1234, ","), number(None)
        ('0.123', '1,234', '–')
    """
    # With unary plus, a value that a template lacks raises an error with its name.
    return "–" if value is None else format(+value, form)
