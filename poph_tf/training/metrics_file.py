"""`metrics.jsonl`: one line of JSON for each validation of a training run.

A run that is killed may leave part of a line, and a power loss may leave zeros; such
lines are skipped.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from poph_tf import files
from poph_tf.errors import InputError

NAME = "metrics.jsonl"


def append(model_dir: pathlib.Path, figures: Mapping[str, Any]) -> None:
    """Adds a validation."""
    with (model_dir / NAME).open("a", encoding="utf-8") as file:
        file.write(_line(figures))


def _line(figures: Mapping[str, Any]) -> str:
    return files.to_json(figures, indent=None, sort_keys=True) + "\n"


def forget_after(model_dir: pathlib.Path, step: int) -> None:
    """Removes validations of later steps, which a resumed run repeats."""
    path = model_dir / NAME
    if path.exists():
        kept = [line for line in _lines(path) if line["step"] <= step]
        files.write(path, "".join(map(_line, kept)))


def read(model_dir: str | pathlib.Path) -> list[dict[str, Any]]:
    """Reads the validations of a run, in the order of their steps.

    Raises:
        InputError: If there are none.
    """
    path = pathlib.Path(model_dir) / NAME
    try:
        validations = [figures for figures in _lines(path) if "valid" in figures]
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; give the --model_dir of a run of poph_tf.train "
            f"that was validated at least once."
        ) from error
    if not validations:
        raise InputError(f"{path} holds no validation yet.")
    return validations


def _lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects with a step."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                figures = json.loads(line)
            except ValueError:
                continue
            if isinstance(figures, dict) and "step" in figures:
                yield figures
