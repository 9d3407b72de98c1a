"""Warm-up requests: what TF Serving runs before it lets clients at a new version.

TF Serving reads `assets.extra/tf_serving_warmup_requests`, a TFRecord file of
PredictionLog messages. Their Python classes come with tensorflow-serving-api, which
pins a TensorFlow distribution; the few fields needed are written here instead.

Source: tensorflow/serving, apis/prediction_log.proto, predict.proto, model.proto;
https://protobuf.dev/programming-guides/encoding
"""

import numpy as np
import tensorflow as tf

FILE = "tf_serving_warmup_requests"
STEPS = 16
# Field numbers.
_LOG_PREDICT = 6  # PredictionLog.predict_log
_PREDICT_REQUEST = 1  # PredictLog.request
_REQUEST_SPEC, _REQUEST_INPUTS = 1, 2  # PredictRequest.model_spec, .inputs
_SPEC_NAME, _SPEC_SIGNATURE = 1, 3  # ModelSpec.name, .signature_name
_KEY, _VALUE = 1, 2  # entries of a map
_LENGTH_DELIMITED = 2


def write(path, specs, model_name):
    """Writes one request of one piece for each signature.

    Args:
        path: str.
        specs: dict of signature to dict of name to tf.TensorSpec.
        model_name: str.
    """
    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in specs.items():
            values = {name: example(name, spec) for name, spec in inputs.items()}
            writer.write(prediction_log(model_name, signature, values))


def example(name, spec):
    """A small valid input, one piece of `STEPS` silent steps, by name."""
    shape = [1] + [STEPS if size is None else size for size in spec.shape[1:]]
    if spec.dtype == tf.string:
        return np.full(shape, b"", object)
    value = {"num_steps": STEPS, "bar_steps": STEPS, "temperature": 1, "tempo_qpm": 120}
    array = np.full(shape, value.get(name, 0), spec.dtype.as_numpy_dtype)
    if name == "style":
        array[:] = 1 / shape[-1]
    return array


def prediction_log(model_name, signature, inputs):
    """The bytes of a PredictionLog with one predict request.

    Args:
        model_name: str.
        signature: str.
        inputs: dict of name to array.
    """
    spec = _field(_SPEC_NAME, model_name.encode())
    spec += _field(_SPEC_SIGNATURE, signature.encode())
    request = _field(_REQUEST_SPEC, spec)
    for name, value in sorted(inputs.items()):
        dtype = tf.string if value.dtype == object else None
        proto = tf.make_tensor_proto(value, dtype).SerializeToString()
        entry = _field(_KEY, name.encode()) + _field(_VALUE, proto)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_REQUEST, request))


def _field(number, content):
    """A length-delimited field: its tag, its length, its content."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value):
    groups = []
    while value >= 128:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
