"""Writes a model as a SavedModel, the next version in an export directory.

A version is written under a temporary name and renamed when it is complete, so a server
that polls never sees half a model.
"""

import dataclasses
import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, cast

import tensorflow as tf

from poph_tf import files, models, provenance
from poph_tf.config import Limits
from poph_tf.data import examples
from poph_tf.errors import InputError
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving import inputs, warmup
from poph_tf.serving.signatures import ServingModule
from poph_tf.serving.versions import CARD_FILE, DATASET_FILE, EXTRA, numbers

_WRITING = ".writing-"


def export_model_dir(
    model_dir: str,
    export_dir: str | pathlib.Path,
    *,
    limits: Limits | None = None,
    data_dir: str | None = None,
) -> pathlib.Path:
    """Exports the model of a `poph_tf.train` directory, or a pretrained model.

    Args:
        model_dir: model directory, or name of a pretrained model.
        export_dir: as for `export`.
        limits: as for `export`.
        data_dir: data set to describe in the export, or None.

    Returns:
        The directory of the new version.

    Raises:
        InputError: If there is no such model, it was not trained on this data set, or
            the export cannot be written.
    """
    model, settings = models.load(model_dir), models.read_settings(model_dir)
    if data_dir:
        trained_on = settings.get("data", {}).get("id")
        found = examples.read_info(data_dir).id
        if found != trained_on:
            raise InputError(
                f"--data_dir must be the data set that the model was trained on, with "
                f"id {trained_on}; {data_dir} has id {found}."
            )
    return export(
        model,
        export_dir,
        limits=limits,
        settings=settings,
        dataset_info=pathlib.Path(data_dir, DATASET_FILE) if data_dir else None,
    )


def export(
    model: PolyphonyModel,
    export_dir: str | pathlib.Path,
    *,
    limits: Limits | None = None,
    settings: Mapping[str, Any] | None = None,
    dataset_info: pathlib.Path | None = None,
) -> pathlib.Path:
    """Writes the next version of a SavedModel, completely or not at all.

    Args:
        model: the model to export.
        export_dir: folder for the versions; its last part is the model's name.
        limits: what one request may ask for; None for the defaults.
        settings: training settings to store in the card, or None.
        dataset_info: path of a dataset_info.json to include, or None.

    Returns:
        The directory of the new version.

    Raises:
        InputError: If the export cannot be written there.
    """
    export_dir = pathlib.Path(export_dir)
    name = export_dir.resolve().name
    try:
        export_dir.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=_WRITING, dir=export_dir))
    except OSError as error:
        raise InputError(
            f"export_dir must be a directory to write to, got {str(export_dir)!r} "
            f"({error.strerror})."
        ) from None
    try:
        _fill(temporary, model, name, limits or Limits(), settings, dataset_info)
        temporary.chmod(0o755)
        return _publish(temporary, export_dir)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _fill(
    directory: pathlib.Path,
    model: PolyphonyModel,
    name: str,
    limits: Limits,
    settings: Mapping[str, Any] | None,
    dataset_info: pathlib.Path | None,
) -> None:
    module = ServingModule(model, limits)
    tf.saved_model.save(module, str(directory), signatures=module.signatures())
    extra = directory / EXTRA
    extra.mkdir()
    files.write_json(extra / CARD_FILE, _card(module, name, settings))
    if dataset_info:
        shutil.copyfile(dataset_info, extra / DATASET_FILE)
    warmup.write(extra / warmup.FILE, inputs.specs(module.config), name)


def _card(
    module: ServingModule, name: str, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The model card of a version, for clients and people, ready for JSON."""
    tempo = inputs.INPUTS["tempo_qpm"]
    return {
        "name": name,
        "model": module.config.to_dict(),
        "limits": {
            **dataclasses.asdict(cast(Any, module.limits)),
            "max_temperature": inputs.INPUTS["temperature"].high,
            "min_tempo_qpm": tempo.low,
            "max_tempo_qpm": tempo.high,
            "max_bar_steps": inputs.INPUTS["bar_steps"].high,
        },
        "signatures": inputs.describe(module.limits, module.config),
        "state_bytes": module.state_bytes.num_bytes,
        "settings": settings,
        "provenance": provenance.describe(),
    }


def _publish(temporary: pathlib.Path, export_dir: pathlib.Path) -> pathlib.Path:
    """Renames to the next free number, even if another export runs at the same time."""
    for number in itertools.count(max(numbers(export_dir), default=0) + 1):
        path = export_dir / str(number)
        try:
            return temporary.rename(path)
        except OSError:
            if not path.exists():
                raise
    raise AssertionError
