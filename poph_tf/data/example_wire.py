"""tf.train.Example on the wire, without TensorFlow.

Only what `data/examples.py` needs: features that are one byte string, one float or a list
of integers. Written in order of their names, so that bytes are deterministic, which
protocol buffers do not promise for maps.

Source: https://protobuf.dev/programming-guides/encoding/ and
tensorflow/core/example/feature.proto.
"""

import struct

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_VARINT, _DELIMITED = 0, 2
_ONE_BYTE = [bytes([k]) for k in range(0x80)]


def _varint(number):
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number, data):
    return _varint(number << 3 | _DELIMITED) + _varint(len(data)) + data


def _feature(value):
    if isinstance(value, bytes):
        return _field(_BYTES_LIST, _field(1, value))
    if isinstance(value, float):
        return _field(_FLOAT_LIST, _field(1, struct.pack("<f", value)))
    return _field(_INT64_LIST, _field(1, b"".join(map(_varint, value))))


def encode(features):
    """Writes a tf.train.Example.

    Args:
        features: dict from name to bytes, float or list of int.

    Returns:
        bytes.
    """
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _feature(features[name])))
        for name in sorted(features)
    ]
    return _field(1, b"".join(entries))


def decode(data):
    """Reads a tf.train.Example, by whomever written.

    Args:
        data: bytes.

    Returns:
        dict from name to bytes, float or list of int.

    Raises:
        ValueError: If they are not one.
    """
    features = {}
    for _, body in _fields(data):
        for _, entry in _fields(body):
            parts = dict(_fields(entry))
            features[_bytes(parts[1]).decode()] = _value(parts[2])
    return features


def _value(feature):
    for kind, body in _fields(feature):
        items = [item for number, item in _fields(body) if number == 1]
        if kind == _BYTES_LIST:
            return _bytes(items[0])
        if kind == _FLOAT_LIST:
            return struct.unpack("<f", _bytes(items[0])[:4])[0]
        numbers = []
        for item in items:
            numbers += [item] if isinstance(item, int) else _varints(item)
        return [n - 2**64 if n >= 2**63 else n for n in numbers]
    return []


def _bytes(item):
    if isinstance(item, int):
        raise ValueError("a number where bytes must be")
    return bytes(item)


def _varints(data):
    at, numbers = 0, []
    while at < len(data):
        number, at = _read_varint(data, at)
        numbers.append(number)
    return numbers


def _read_varint(data, at):
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise ValueError("a number is cut off")


def _fields(data):
    """Yields (field number, int or memoryview)."""
    if isinstance(data, int):
        raise ValueError("a number where bytes must be")
    data = memoryview(data)
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, after = _read_varint(data, at)
        if key & 7 == _VARINT:
            at = after
            yield key >> 3, value
        elif key & 7 == _DELIMITED:
            at = after + value
            if at > len(data):
                raise ValueError("a field is cut off")
            yield key >> 3, data[after:at]
        elif key & 7 == 5:
            at += 4
            yield key >> 3, data[at - 4 : at]
        else:
            raise ValueError(f"wire type {key & 7}")
