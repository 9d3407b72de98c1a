"""TF Serving's REST dialect: JSON to arrays by a signature's inputs, and back.

A predict request is an object with `instances` (row format: a list with one object of
named values for each piece) or `inputs` (column format: an object of named batches),
and `signature_name` if it is not serving_default. Bytes are {"b64": "..."}. Rows are
answered with `predictions`, columns with `outputs`; where a signature has one output,
its values stand there without its name. An output whose name ends in `_bytes` is
bytes, any other string is text.

Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import binascii
import dataclasses
import json

import numpy as np

DEFAULT_SIGNATURE = "serving_default"
_FIELDS = ("signature_name", "instances", "inputs")


class BadRequest(ValueError):
    """The client's fault; the message says what would be right."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """One input of a signature.

    Args:
        dtype: numpy dtype; object for bytes.
        shape: tuple of int or None, the batch first.
    """

    dtype: np.dtype
    shape: tuple

    def __str__(self):
        name = "bytes" if self.dtype == object else self.dtype.name
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{name} [{sizes}]"


@dataclasses.dataclass(frozen=True)
class Predict:
    """A predict request, read.

    Args:
        signature: str.
        rows: bool. Whether it came, and is to be answered, in row format.
        inputs: dict of name to array, the batch first.
    """

    signature: str
    rows: bool
    inputs: dict


def read_predict(body, signatures):
    """Reads the body of a predict request.

    Args:
        body: bytes.
        signatures: dict of signature to dict of input's name to Spec.

    Returns:
        Predict.

    Raises:
        BadRequest: If it is anything else.
    """
    request = _read_json(body)
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object with instances or inputs.")
    unknown = [name for name in request if name not in _FIELDS]
    if unknown:
        raise BadRequest(f"The body must hold {_listed(_FIELDS)}, got {unknown[0]!r}.")
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest("The body must hold either instances or inputs.")
    signature = request.get("signature_name", DEFAULT_SIGNATURE) or DEFAULT_SIGNATURE
    if not isinstance(signature, str) or signature not in signatures:
        raise BadRequest(
            f"signature_name must be one of {_listed(sorted(signatures))}, "
            f"got {_short(signature)}."
        )
    specs = signatures[signature]
    if "inputs" in request:
        inputs = _read_columns(request["inputs"], specs)
        # Merged with other requests the graph could not tell whose rows are whose.
        if len({len(array) for array in inputs.values()}) > 1:
            raise BadRequest("all inputs must have the same batch size.")
        return Predict(signature, False, inputs)
    return Predict(signature, True, _read_rows(request["instances"], specs))


def _read_json(body):
    try:
        return json.loads(body)
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body must be JSON: {error}.") from None


def _read_columns(inputs, specs):
    _check_names(inputs, specs, "inputs")
    return {name: to_array(inputs[name], spec, name) for name, spec in specs.items()}


def _read_rows(instances, specs):
    if not isinstance(instances, list) or not instances:
        raise BadRequest("instances must be a list with one object for each piece.")
    for row, instance in enumerate(instances):
        _check_names(instance, specs, f"instances[{row}]")
    # A column in which rows differ in shape fails like any other ragged list.
    return {
        name: to_array([instance[name] for instance in instances], spec, name)
        for name, spec in specs.items()
    }


def _check_names(values, specs, where):
    if not isinstance(values, dict):
        raise BadRequest(f"{where} must be an object with {_listed(specs)}.")
    for name in specs:
        if name not in values:
            raise BadRequest(f"{where} must hold {_listed(specs)}; it lacks {name}.")
    for name in values:
        if name not in specs:
            raise BadRequest(
                f"{where} must hold {_listed(specs)}; got {_short(name)} too."
            )


def to_array(value, spec, name):
    """JSON's lists and numbers -> an array of a Spec.

    Raises:
        BadRequest: If types, range or shape differ.
    """
    if spec.dtype == object:
        array = _bytes_array(value, name)
    else:
        array = _number_array(value, spec, name)
    fits = len(array.shape) == len(spec.shape) and all(
        wanted in (None, size)
        for wanted, size in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise BadRequest(f"{name} must be {spec}, got shape {list(array.shape)}.")
    return array


def _bytes_array(value, name):
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list of {{'b64': '...'}} objects.")
    array = np.empty(len(value), object)
    array[:] = [_read_bytes(item, name) for item in value]
    return array


def _read_bytes(item, name):
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if not isinstance(item, dict) or set(item) != {"b64"}:
        raise BadRequest(f"{name} must hold {{'b64': '...'}} objects or texts.")
    try:
        return base64.b64decode(item["b64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BadRequest(f"{name} must hold valid base64.") from None


def _number_array(value, spec, name):
    if not _holds_numbers_only(value):
        # numpy would make texts of all of them, each as long as the longest.
        raise _not_numbers(spec, name)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError):
        raise BadRequest(
            f"{name} must be {spec}, got lists of unequal length."
        ) from None
    if not array.size and array.ndim:
        return np.zeros(array.shape, spec.dtype)
    if array.dtype.kind not in ("iu" if spec.dtype.kind in "iu" else "iuf"):
        raise _not_numbers(spec, name)
    if spec.dtype.kind in "iu":
        low, high = np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max
        if array.min() < low or array.max() > high:
            raise BadRequest(f"{name} must be {low} to {high}.")
    # A number too large for float32 becomes infinite, which the graph refuses.
    with np.errstate(over="ignore"):
        return array.astype(spec.dtype)


def _holds_numbers_only(value):
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif type(item) not in (int, float):
            return False
    return True


def _not_numbers(spec, name):
    kind = "whole numbers" if spec.dtype.kind in "iu" else "numbers"
    return BadRequest(f"{name} must be {spec}, that is {kind} of its range only.")


def write_predict(outputs, rows):
    """Arrays -> the JSON bytes of the answer.

    Args:
        outputs: dict of name to array, the batch first.
        rows: bool. Row format, else column format.
    """
    columns = {name: _to_json(name, array) for name, array in outputs.items()}
    single = len(columns) == 1
    if not rows:
        answer = {"outputs": next(iter(columns.values())) if single else columns}
    elif single:
        answer = {"predictions": next(iter(columns.values()))}
    else:
        values = zip(*columns.values(), strict=True)
        answer = {
            "predictions": [dict(zip(columns, row, strict=True)) for row in values]
        }
    return json.dumps(answer, separators=(",", ":")).encode()


def _to_json(name, array):
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(item).decode("ascii")} for item in array]
    return [item.decode("utf-8", "replace") for item in array]


def _listed(names):
    return ", ".join(names)


def _short(value, longest=60):
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."
