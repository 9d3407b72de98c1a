"""Version directories, where a server looks for models.

    export_dir/1, 2, ...            the SavedModels; numbers only grow
        assets.extra/model_card.json                the model and its limits
        assets.extra/dataset_info.json              the training data, if given
        assets.extra/tf_serving_warmup_requests     see warmup.py

`saved_model.py` writes them. Nothing here needs TensorFlow, so a server can reject a
bad export at once.
"""

import dataclasses
import json
import pathlib
import re
from typing import Any, cast

from poph_tf.config import Limits
from poph_tf.errors import InputError

EXTRA = "assets.extra"
CARD_FILE = "model_card.json"
DATASET_FILE = "dataset_info.json"
_NUMBER = re.compile("[1-9][0-9]{0,17}")


def numbers(export_dir: pathlib.Path) -> list[int]:
    """The versions in a directory, sorted: folders named by a number, no leading zeros.

    Raises:
        InputError: If there is no such directory.
    """
    try:
        names = [path.name for path in export_dir.iterdir() if path.is_dir()]
    except OSError as error:
        raise InputError(
            f"There is no export directory {str(export_dir)!r} ({error.strerror})."
        ) from None
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def newest_first(export_dir: pathlib.Path) -> list[pathlib.Path]:
    """The versions in a directory, the newest first.

    Raises:
        InputError: If there are none, or no such directory.
    """
    found = [export_dir / str(number) for number in reversed(numbers(export_dir))]
    if not found:
        raise InputError(
            f"{export_dir} holds no version yet: write one with "
            f"python -m poph_tf.export --export_dir={export_dir}."
        )
    return found


def check(export_dir: pathlib.Path) -> None:
    """Checks that there is a version with a valid model card.

    Raises:
        InputError: If there is none; it says what is wrong with the newest.
    """
    broken = []
    for version_dir in newest_first(export_dir):
        try:
            describe(version_dir)
        except InputError as error:
            broken.append(error)
        else:
            return
    raise broken[0]


def describe(version_dir: str | pathlib.Path) -> dict[str, Any]:
    """The model card of an exported version.

    Raises:
        InputError: If there is none, or it lacks the limits of requests.
    """
    path = pathlib.Path(version_dir, EXTRA, CARD_FILE)
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:  # not JSON, or not UTF-8
        raise InputError(
            f"{version_dir} is not an export of poph_tf: {error}."
        ) from None
    limits = card.get("limits") if isinstance(card, dict) else None
    names = [field.name for field in dataclasses.fields(cast(Any, Limits))]
    if not isinstance(limits, dict) or not set(names) <= set(limits):
        raise InputError(
            f"{version_dir} is not an export of poph_tf: {CARD_FILE} must be an object "
            f"whose limits have {' and '.join(names)}."
        )
    Limits(**{name: limits[name] for name in names})
    return card
