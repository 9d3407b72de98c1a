"""The versions of a model as a server holds them: loaded, described, replaced."""

import os
import re

import numpy as np

from poph_tf.errors import InputError
from poph_tf.serving import versions, warmup
from poph_tf.serving.server.rest_api import BadRequest, Spec

# "assertion failed: [what must hold, got] [what came]", somewhere in a longer text.
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\](?: (\[.*\]))?$", re.MULTILINE)


class Version:
    """One loaded SavedModel.

    Args:
        path: str, its directory; the last part is the version's number.
    """

    def __init__(self, path):
        import tensorflow as tf

        self.number = int(os.path.basename(path))
        self.card = versions.describe(path)
        self.metadata = read_metadata(path)
        try:
            self._loaded = tf.saved_model.load(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no SavedModel: {error}") from error
        self._tf_specs, self.specs, self.functions = {}, {}, {}
        for name, function in self._loaded.signatures.items():
            specs = function.structured_input_signature[1]
            self._tf_specs[name] = specs
            self.specs[name] = {
                key: Spec(np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape))
                for key, spec in sorted(specs.items())
            }
            self.functions[name] = self._runner(function)

    def _runner(self, function):
        import tensorflow as tf

        def run(inputs):
            try:
                found = function(**{k: tf.constant(v) for k, v in inputs.items()})
                return {name: value.numpy() for name, value in found.items()}
            except tf.errors.InvalidArgumentError as error:
                raise BadRequest(reason(error)) from None

        return run

    def warm_up(self):
        """Runs one small piece through each signature: the first run is slow."""
        for name, specs in self._tf_specs.items():
            inputs = {key: warmup.example(key, spec) for key, spec in specs.items()}
            self.functions[name](inputs)


class Versions:
    """The newest version of an export directory.

    Args:
        export_dir: str. Its last part is the model's name, unless given.
        name: str or "".
    """

    def __init__(self, export_dir, name=""):
        self.export_dir = export_dir
        self.name = name or os.path.basename(os.path.abspath(export_dir))
        self.current = None

    def refresh(self, warm_up=True):
        """Loads the newest version if it is not the current one.

        Returns:
            bool, whether there is a new one.

        Raises:
            InputError: If there is none, or it cannot be loaded.
        """
        found = versions.numbers(self.export_dir)
        if not found:
            raise InputError(
                f"{self.export_dir} holds no version yet: write one with "
                f"python -m poph_tf.export --export_dir={self.export_dir}."
            )
        if self.current and self.current.number >= found[-1]:
            return False
        version = Version(os.path.join(self.export_dir, str(found[-1])))
        if warm_up:
            version.warm_up()
        self.current = version
        return True


def reason(error):
    """What the graph says of bad input, without TensorFlow's wrapping."""
    found = _ASSERTION.search(error.message)
    if not found:
        return error.message.splitlines()[0]
    return " ".join(part for part in found.groups() if part) + "."


def read_metadata(path):
    """The signatures of a SavedModel as TF Serving's metadata call gives them."""
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        with open(os.path.join(path, "saved_model.pb"), "rb") as file:
            saved.ParseFromString(file.read())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no SavedModel: {error}.") from None
    return {
        name: json_format.MessageToDict(
            definition,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name, definition in saved.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }
