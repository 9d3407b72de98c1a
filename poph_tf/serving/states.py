"""The sampler's state as bytes: what a client keeps between one bar and the next.

The server stores nothing. A piece's state is one string of little-endian 32-bit words:
a magic number, a fingerprint of the model, then the tensors of the sampler's state in
order. The empty string is the state before the first step of a piece in 4/4. A state
that was cut, invented or written by another model is refused.
"""

import hashlib
import json
import math

import numpy as np
import tensorflow as tf

from poph_tf.config import Limits
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models.layers.chord_progression import NUM_DEGREES
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving.inputs import check_range, require
from poph_tf.theory import NUM_KEYS

MAGIC = b"PHS1"
FINGERPRINT_BYTES = 8
BAR_STEPS = 16
_WORD_BYTES = 4
_HEADER_WORDS = (len(MAGIC) + FINGERPRINT_BYTES) // _WORD_BYTES
_COUNTERS = ("step", "bar_position", "silent_steps")
_MAX_COUNT = 2**30
_MOST_CHORD = NUM_DEGREES * 256  # in the last beat of the longest bar, and more


def fingerprint(model: PolyphonyModel) -> bytes:
    """Eight bytes that differ between models of other weights or settings.

    Dropout's seeds are left out: they are drawn anew whenever a model is loaded.
    """
    digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
    counted = (variable for layer in model.counted for variable in layer.weights)
    for variable in (*model.trainable_variables, *counted):
        digest.update(variable.numpy().tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


class StateBytes:
    """Turns states into strings and back, in the graph.

    Args:
        sampler: the sampler of the states.
        fingerprint: of the sampler's model.
    """

    def __init__(self, sampler: Sampler, fingerprint: bytes) -> None:
        self.sampler = sampler
        # With a batch of one, the first axis holds the rows of each piece.
        self.structure = tf.nest.map_structure(
            tf.TensorSpec.from_tensor, sampler.zero_state(1, BAR_STEPS)
        )
        self.leaves = tf.nest.flatten(self.structure)
        self.sizes = [math.prod(leaf.shape) for leaf in self.leaves]
        self.header = np.frombuffer(MAGIC + fingerprint, np.int32)
        self.num_words = _HEADER_WORDS + sum(self.sizes)
        self.num_bytes = _WORD_BYTES * self.num_words

    def pack(self, state: State) -> tf.Tensor:
        """The states of a batch as string [batch]."""
        batch = tf.shape(state["step"])[0]
        words = [tf.tile(self.header[None], (batch, 1))]
        for leaf, size in zip(tf.nest.flatten(state), self.sizes, strict=True):
            words.append(tf.bitcast(tf.reshape(leaf, (batch, size)), tf.int32))
        protos = tf.map_fn(
            tf.io.serialize_tensor,
            tf.concat(words, axis=1),
            fn_output_signature=tf.TensorSpec([], tf.string),
        )
        # A serialized TensorProto ends with the tensor's content.
        return tf.strings.substr(protos, -self.num_bytes, self.num_bytes)

    def unpack(self, strings: tf.Tensor) -> State:
        """The states in string [batch]; other strings fail an assertion."""
        size = tf.strings.length(strings)
        complete = (size == 0) | (size == self.num_bytes)
        must = f"state_bytes must be empty or {self.num_bytes} bytes"
        zero = self.pack(self.sampler.zero_state(1, BAR_STEPS))
        with tf.control_dependencies([require(complete, must, size)]):
            strings = tf.where(size == 0, zero, strings)
        words = tf.io.decode_raw(strings, tf.int32)
        words = tf.ensure_shape(words, (None, self.num_words))
        header, *parts = tf.split(words, [_HEADER_WORDS, *self.sizes], axis=1)
        must = "state_bytes must come from prefill or continue_ of this model version"
        with tf.control_dependencies([require(header == self.header, must)]):
            leaves = [
                tf.reshape(
                    tf.bitcast(tf.identity(part), leaf.dtype), (-1, *leaf.shape[1:])
                )
                for part, leaf in zip(parts, self.leaves, strict=True)
            ]
        state = tf.nest.pack_sequence_as(self.structure, leaves)
        with tf.control_dependencies(_check_values(state)):
            return tf.nest.map_structure(tf.identity, state)


def _check_values(state: State) -> list[tf.Operation]:
    """Refuses values that no drawn state has: they would stop or spoil the drawing."""
    floats = [leaf for leaf in tf.nest.flatten(state) if leaf.dtype.is_floating]
    valid = [tf.reduce_all(tf.math.is_finite(leaf)) for leaf in floats]
    for name in _COUNTERS:
        valid.append(tf.reduce_all((state[name] >= 0) & (state[name] < _MAX_COUNT)))
    if "key" in state:
        valid.append(tf.reduce_all((state["key"] >= 0) & (state["key"] <= NUM_KEYS)))
    if "chords" in state:
        chords = state["chords"]
        valid.append(tf.reduce_all((chords >= 0) & (chords <= _MOST_CHORD)))
    valid.append(tf.reduce_all((state["frame"] >= 0) & (state["frame"] <= 1)))
    return [
        require(tf.stack(valid), "state_bytes must be unchanged"),
        check_range("bar_steps", state["bar_steps"], Limits()),
    ]
