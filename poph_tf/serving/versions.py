"""Version directories: where a server looks for models, and how they get there.

    export_dir/1, 2, ...            the SavedModels; numbers only grow
        assets.extra/model_card.json                what it is and may be asked for
        assets.extra/dataset_info.json              what it was trained on, if given
        assets.extra/tf_serving_warmup_requests     see warmup.py

A version is written under another name and renamed when it is whole, so that a server
that polls never sees half a model.
"""

import json
import os
import shutil
import tempfile

import tensorflow as tf

from poph_tf import provenance
from poph_tf.errors import InputError
from poph_tf.serving import limits as limits_lib
from poph_tf.serving import warmup
from poph_tf.serving.signatures import ServingModule

EXTRA = "assets.extra"
CARD_FILE = "model_card.json"
DATASET_FILE = "dataset_info.json"
_WRITING = ".writing-"


def export(model, export_dir, *, limits=None, settings=None, dataset_info=None):
    """Writes the next version of a SavedModel, whole or not at all.

    Args:
        model: PolyphonyModel.
        export_dir: str. Versions 1, 2, ... appear below it; its last part is the
            model's name.
        limits: bounds.Limits, or None for the usual ones.
        settings: dict from the model directory to keep in the card, or None.
        dataset_info: path of the dataset_info.json to keep, or None.

    Returns:
        str, the directory of the new version.

    Raises:
        InputError: If it cannot be written there.
    """
    limits = limits or limits_lib.Limits()
    try:
        os.makedirs(export_dir, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=_WRITING, dir=export_dir)
    except OSError as error:
        raise InputError(
            f"export_dir must be a directory to write to, got {export_dir!r} "
            f"({error.strerror})."
        ) from None
    try:
        _fill(temporary, model, _name(export_dir), limits, settings, dataset_info)
        os.chmod(temporary, 0o755)
        return _appear(temporary, export_dir)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _name(export_dir):
    return os.path.basename(os.path.abspath(export_dir))


def _fill(directory, model, name, limits, settings, dataset_info):
    module = ServingModule(model, limits)
    tf.saved_model.save(module, directory, signatures=module.signatures())
    extra = os.path.join(directory, EXTRA)
    os.makedirs(extra)
    card = _card(module, name, settings)
    provenance.write_json(os.path.join(extra, CARD_FILE), card)
    if dataset_info:
        shutil.copyfile(dataset_info, os.path.join(extra, DATASET_FILE))
    specs = {"serving_default": module.specs()["compose"]} | module.specs()
    warmup.write(os.path.join(extra, warmup.FILE), specs, name)


def _card(module, name, settings):
    """What a client, or a person, wants to know of a version. JSON-ready."""
    return {
        "name": name,
        "model": module.config.to_dict(),
        "limits": {
            "max_steps": module.limits.max_steps,
            "max_batch": module.limits.max_batch,
            "max_temperature": limits_lib.MAX_TEMPERATURE,
            "min_tempo_qpm": limits_lib.MIN_TEMPO_QPM,
            "max_tempo_qpm": limits_lib.MAX_TEMPO_QPM,
            "max_bar_steps": limits_lib.MAX_BAR_STEPS,
        },
        "state_bytes": module.state_bytes.num_bytes,
        "settings": settings,
        "provenance": provenance.describe(),
    }


def _appear(temporary, export_dir):
    """Renames to the next free number, also where another export takes one first."""
    while True:
        path = os.path.join(export_dir, str(max(numbers(export_dir), default=0) + 1))
        try:
            os.rename(temporary, path)
            return path
        except OSError:
            if not os.path.exists(path):
                raise


def numbers(export_dir):
    """The versions in a directory, a sorted list of int.

    Raises:
        InputError: If there is no such directory.
    """
    try:
        names = os.listdir(export_dir)
    except OSError as error:
        raise InputError(
            f"There is no export directory {export_dir!r} ({error.strerror})."
        ) from None
    return sorted(int(name) for name in names if name.isdecimal())


def describe(version_dir):
    """The model card of an exported version, a dict."""
    path = os.path.join(version_dir, EXTRA, CARD_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{version_dir} is no export of poph_tf: {error}.") from None
