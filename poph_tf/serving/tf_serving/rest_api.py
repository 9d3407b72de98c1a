"""TF Serving's REST API: converts JSON to a signature's input arrays, and back.

A predict request is an object with `instances` (row format: a list with one object of
named values for each piece) or `inputs` (column format: an object of named batches),
and `signature_name` if it is not serving_default. Bytes are {"b64": "..."}. The
response has `predictions` for rows and `outputs` for columns; a single output comes
without its name. An output whose name ends in `_bytes` is bytes, any other string is
text.

Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import annotated_types
import numpy as np
import pydantic
import tensorflow as tf

from poph_tf.serving.inputs import INPUTS

DEFAULT_SIGNATURE = "serving_default"

_BY_STEP = {name for name, each in INPUTS.items() if "time" in each.axes}

Arrays = dict[str, np.ndarray]
Specs = Mapping[str, tf.TensorSpec]


class BadRequest(ValueError):  # noqa: N818  the name of HTTP code 400
    """A client error; the message says what is allowed."""


class Predict(NamedTuple):
    """A parsed predict request.

    Attributes:
        signature: its name.
        rows: whether the request, and so the response, is in row format.
        inputs: input -> array, batch first.
    """

    signature: str
    rows: bool
    inputs: Arrays

    @property
    def num_pieces(self) -> int:
        """Number of pieces in the request."""
        return len(next(iter(self.inputs.values())))

    @property
    def num_steps(self) -> int:
        """Steps of the longest piece, sent or to be drawn."""
        sent = [self.inputs[name].shape[1:2] for name in _BY_STEP & set(self.inputs)]
        drawn = self.inputs.get("num_steps", np.zeros(1)).max(initial=0)
        return max(int(drawn), *(size for shape in sent for size in shape), 0)


class _Body(pydantic.BaseModel, extra="forbid"):
    signature_name: str | None = None
    inputs: dict[str, Any] | None = None
    instances: Annotated[list[dict[str, Any]], annotated_types.MinLen(1)] | None = None


def read_predict(body: bytes, signatures: Mapping[str, Specs]) -> Predict:
    """Reads the body of a predict request.

    Args:
        body: JSON.
        signatures: signature -> input -> tf.TensorSpec.

    Raises:
        BadRequest: If the body is not a valid request.
    """
    try:
        request = _Body.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(["body", *map(str, first["loc"])])
        raise BadRequest(f"{_short(place)}: {first['msg']}.") from None
    if (request.inputs is None) == (request.instances is None):
        raise BadRequest("The body must hold either instances or inputs.")
    signature = request.signature_name or DEFAULT_SIGNATURE
    if signature not in signatures:
        known = ", ".join(sorted(signatures))
        raise BadRequest(
            f"signature_name must be one of {known}, got {_short(signature)}."
        )
    specs, columns = signatures[signature], request.inputs or {}
    for piece in request.instances or [columns]:
        _check_names(piece, specs)
    if request.instances:
        columns = {name: [piece[name] for piece in request.instances] for name in specs}
    inputs = {name: to_array(columns[name], specs[name], name) for name in specs}
    # In a merged batch, the graph could not tell which rows belong to which request.
    if len({len(array) for array in inputs.values()}) > 1:
        raise BadRequest("all inputs must have the same batch size.")
    return Predict(signature, request.instances is not None, inputs)


def _check_names(piece: Mapping[str, Any], specs: Specs) -> None:
    for name in piece.keys() ^ specs.keys():
        found = f"got {_short(name)} too" if name in piece else f"{name} is missing"
        raise BadRequest(f"The inputs must be {', '.join(specs)}; {found}.")


def to_array(value: Any, spec: tf.TensorSpec, name: str) -> np.ndarray:
    """Converts lists and numbers from JSON to an array of the given spec.

    Raises:
        BadRequest: If the type, range or shape does not match.

    Example:
        >>> to_array([[1, 2]], tf.TensorSpec([None, 2], tf.int32), "seed")
        array([[1, 2]], dtype=int32)
    """
    sizes = ", ".join("any" if size is None else str(size) for size in spec.shape)
    wanted = f"{name} must be {spec.dtype.name} [{sizes}]"
    shape: list[int] = []
    items = [value]
    while items and all(isinstance(item, list) for item in items):
        lengths = {len(item) for item in items}
        if len(lengths) > 1:
            break
        shape += lengths
        items = list(itertools.chain.from_iterable(items))
    if any(isinstance(item, list) for item in items):
        raise BadRequest(f"{wanted}, got lists of unequal length.")
    if not spec.shape.is_compatible_with(shape):
        raise BadRequest(f"{wanted}, got shape {shape}.")
    if spec.dtype == tf.string:
        array = np.empty(len(items), object)
        array[:] = [_read_bytes(item, name) for item in items]
        return array.reshape(shape)
    # Compares exact types: true is not a number here.
    whole = spec.dtype.is_integer
    if not set(map(type, items)) <= ({int} if whole else {int, float}):
        kind = "whole numbers" if whole else "numbers"
        raise BadRequest(f"{wanted}, that is {kind} of its range only.")
    # NaN passes: the graph rejects it and names the input.
    low, high = spec.dtype.min, spec.dtype.max
    if any(item < low or item > high for item in items):
        raise BadRequest(f"{name} must be {low} to {high}.")
    return np.array(items, spec.dtype.as_numpy_dtype).reshape(shape)


def _read_bytes(item: Any, name: str) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    try:
        if set(item) == {"b64"}:
            return base64.b64decode(item["b64"], validate=True)
    except (TypeError, ValueError):
        pass
    raise BadRequest(f"{name} must hold {{'b64': valid base64}} objects, or texts.")


def write_predict(outputs: Arrays, rows: bool) -> bytes:
    """Converts arrays to the JSON of the response.

    Args:
        outputs: output -> array, batch first.
        rows: whether to use row format instead of column format.
    """
    columns = {name: _to_json(name, array) for name, array in outputs.items()}
    answer: Any = columns
    if len(columns) == 1:
        (answer,) = columns.values()
    elif rows:
        values = zip(*columns.values(), strict=True)
        answer = [dict(zip(columns, row, strict=True)) for row in values]
    key = "predictions" if rows else "outputs"
    return json.dumps({key: answer}, separators=(",", ":")).encode()


def _to_json(name: str, array: np.ndarray) -> list[Any]:
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(item).decode("ascii")} for item in array]
    return [item.decode("utf-8", "replace") for item in array]


def _short(value: Any, longest: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."
