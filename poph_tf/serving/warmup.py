"""Warm-up requests, which TF Serving runs before clients reach a new version.

TF Serving reads `assets.extra/tf_serving_warmup_requests`, a TFRecord file of
PredictionLog messages. Their Python classes are in tensorflow-serving-api, which pins
a TensorFlow distribution, so this module writes the few fields that are needed.

Source: tensorflow/serving, apis/prediction_log.proto, predict.proto, model.proto;
https://protobuf.dev/programming-guides/encoding
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from poph_tf.serving.inputs import example

FILE = "tf_serving_warmup_requests"
# Field numbers.
_LOG_PREDICT = 6  # PredictionLog.predict_log
_PREDICT_REQUEST = 1  # PredictLog.request
_REQUEST_SPEC, _REQUEST_INPUTS = 1, 2  # PredictRequest.model_spec, .inputs
_SPEC_NAME, _SPEC_SIGNATURE = 1, 3  # ModelSpec.name, .signature_name
_KEY, _VALUE = 1, 2  # entries of a map
_LENGTH_DELIMITED = 2


Specs = Mapping[str, Mapping[str, tf.TensorSpec]]


def write(path: pathlib.Path, specs: Specs, model_name: str) -> None:
    """Writes one request for one piece per signature.

    Args:
        path: file to write.
        specs: signature -> input -> tf.TensorSpec.
        model_name: the model's name on the server.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in specs.items():
            values = {name: example(name, spec) for name, spec in inputs.items()}
            writer.write(prediction_log(model_name, signature, values))


def prediction_log(
    model_name: str, signature: str, inputs: Mapping[str, np.ndarray]
) -> bytes:
    """A serialized PredictionLog with one predict request."""
    spec = _field(_SPEC_NAME, model_name.encode())
    spec += _field(_SPEC_SIGNATURE, signature.encode())
    request = _field(_REQUEST_SPEC, spec)
    for name, value in sorted(inputs.items()):
        dtype = tf.string if value.dtype == object else None
        proto = tf.make_tensor_proto(value, dtype).SerializeToString()
        entry = _field(_KEY, name.encode()) + _field(_VALUE, proto)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field: its tag, its length, its content."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = []
    while value >= 128:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
