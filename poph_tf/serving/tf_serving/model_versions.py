"""The versions of a model in a server: loads, describes and replaces them."""

import logging
import pathlib
import re
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2

from poph_tf.errors import InputError, one_line
from poph_tf.serving import versions
from poph_tf.serving.inputs import INPUTS, example
from poph_tf.serving.tf_serving.calls import Call, Function
from poph_tf.serving.tf_serving.rest_api import Arrays, BadRequest

# "assertion failed: [what must hold, got] [actual value]", inside a longer text.
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?: (\[.*\]))?$", re.MULTILINE)


class ModelVersion:
    """One loaded SavedModel.

    Args:
        path: its directory; the last part is the version number.
        warm_up: whether to run each signature once on a small piece, since the first
            run is slow.

    Attributes:
        number: the version number.
        card: the model card.
        metadata: signatures as TF Serving's metadata call returns them.
        specs: signature -> input -> tf.TensorSpec.
        functions: signature -> function on arrays.
    """

    def __init__(self, path: pathlib.Path, warm_up: bool = True) -> None:
        self.number = int(path.name)
        self.card = versions.describe(path)
        self.specs: dict[str, dict[str, tf.TensorSpec]] = {}
        self.functions: dict[str, Function] = {}
        try:
            self.metadata = read_metadata(path)
            self._loaded = tf.saved_model.load(str(path))
            self._prepare(warm_up)
        # TensorFlow's loader raises many types of error: IndexError for an empty file.
        except Exception as error:
            raise InputError(
                f"{path} is not a SavedModel that can be served: {one_line(error)}"
            ) from error

    def _prepare(self, warm_up: bool) -> None:
        for name, function in self._loaded.signatures.items():
            specs = dict(sorted(function.structured_input_signature[1].items()))
            self.specs[name], self.functions[name] = specs, _on_arrays(function)
            if unknown := specs.keys() - INPUTS.keys():
                raise InputError(f"{name} takes {min(unknown)}, an unknown input.")
            if warm_up:
                silent = {key: example(key, specs[key]) for key in specs}
                self.functions[name](silent, Call())


class ModelVersions:
    """The newest version of an export directory that can be loaded.

    Args:
        export_dir: directory that holds the versions.
        name: the model's name; "" for the last part of the directory.
        warm_up: whether to warm up the first version; later ones always are.

    Raises:
        InputError: If there is no version, or it cannot be loaded.
    """

    def __init__(
        self, export_dir: pathlib.Path, name: str = "", warm_up: bool = True
    ) -> None:
        self.export_dir = export_dir
        self.name = name or export_dir.resolve().name
        self._broken: dict[int, InputError] = {}
        self.current = self._newest(warm_up)

    def refresh(self) -> bool:
        """Loads the newest version that works, if it is not the current one.

        Returns:
            Whether the current version has changed.

        Raises:
            InputError: If there is none.
        """
        before = self.current
        self.current = self._newest()
        return self.current is not before

    def _newest(self, warm_up: bool = True) -> ModelVersion:
        """The newest version that can be loaded; logs each broken one once."""
        found = versions.newest_first(self.export_dir)
        current = getattr(self, "current", None)
        for path in found:
            number = int(path.name)
            if current and number == current.number:
                return current
            if number in self._broken:
                continue
            try:
                return ModelVersion(path, warm_up)
            except InputError as error:
                self._broken[number] = error
                if len(found) > 1:
                    logging.warning("Version %d is left out: %s", number, error)
        raise next(iter(self._broken.values()))


def _on_arrays(function: Any) -> Function:
    """A signature as a function on arrays that raises BadRequest for bad input."""

    def run(inputs: Arrays, call: Call) -> Arrays:
        try:
            return call.run(function, inputs)
        except tf.errors.InvalidArgumentError as error:
            raise BadRequest(reason(error.message)) from None

    return run


def reason(text: str) -> str:
    """The graph's error message for bad input, without TensorFlow's wrapping."""
    found = _ASSERTION.search(text)
    if not found:
        return text.splitlines()[0]
    return " ".join(part for part in found.groups() if part) + "."


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """The signatures of a SavedModel as TF Serving's metadata call returns them."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    return {
        name: json_format.MessageToDict(
            definition,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name, definition in saved.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }
