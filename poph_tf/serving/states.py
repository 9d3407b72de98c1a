"""The sampler's state as bytes, which a client keeps between one bar and the next.

The server stores nothing. A piece's state is one string: a magic number, a fingerprint
of the model, a checksum of what follows, then the tensors of the sampler's state in
order, as little-endian 32-bit words; the notes that attention recalls are packed as
bits. The empty string is the state before the first step of a piece in 4/4. A state
that was cut, altered, made up or written by another model is rejected.
"""

import hashlib
import json
import math
from collections.abc import Callable

import tensorflow as tf

from poph_tf.config import Limits
from poph_tf.generation.sampler import Sampler, State
from poph_tf.models.layers.chord_progression import NUM_DEGREES
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.serving.inputs import check_range, require
from poph_tf.theory import NUM_KEYS

MAGIC, FORMER_MAGIC = b"PHS2", b"PHS1"
FINGERPRINT_BYTES, CHECKSUM_BYTES = 8, 8
BAR_STEPS = 16
_WORD_BYTES, _WORD_BITS = 4, 32
# The tensors of attention by frames that hold only 0 and 1.
_BINARY = ("values", "valid", "play")
# Upper limits of the values that are at least 0, if a state has them.
_MOST = {
    **dict.fromkeys(("step", "bar_position", "silent_steps"), 2**30 - 1),
    "key": NUM_KEYS,
    "chords": NUM_DEGREES * 256,  # in the last beat of the longest bar, and more
    "frame": 1,
}
_UNCHANGED = "state_bytes must be unchanged"


def fingerprint(model: PolyphonyModel) -> bytes:
    """Eight bytes that differ between models with different weights or settings.

    The seeds of dropout are left out: they are drawn again whenever a model is loaded.
    """
    digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
    counted = (variable for layer in model.counted for variable in layer.weights)
    for variable in (*model.trainable_variables, *counted):
        digest.update(variable.numpy().tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


class StateBytes:
    """Converts states to strings and back, in the graph.

    Args:
        sampler: the sampler whose states are converted.
        fingerprint: fingerprint of the sampler's model.
    """

    def __init__(self, sampler: Sampler, fingerprint: bytes) -> None:
        self.sampler = sampler
        # With a batch of one, the first axis holds the rows of one piece.
        zero = sampler.zero_state(1, BAR_STEPS)
        self.unpacked = tf.nest.map_structure(tf.TensorSpec.from_tensor, zero)
        self.structure = tf.nest.map_structure(
            tf.TensorSpec.from_tensor, _binary_leaves(_to_bits, zero)
        )
        self.leaves = tf.nest.flatten(self.structure)
        self.sizes = [math.prod(leaf.shape) for leaf in self.leaves]
        self.header = MAGIC + fingerprint
        self.num_words = sum(self.sizes)
        self.num_bytes = (
            len(self.header) + CHECKSUM_BYTES + _WORD_BYTES * self.num_words
        )

    def pack(self, state: State) -> tf.Tensor:
        """Converts the states of a batch to string [batch]."""
        batch = tf.shape(state["step"])[0]
        leaves = tf.nest.flatten(_binary_leaves(_to_bits, state))
        words = [
            tf.bitcast(tf.reshape(leaf, (batch, size)), tf.int32)
            for leaf, size in zip(leaves, self.sizes, strict=True)
        ]
        content = _to_strings(tf.concat(words, axis=1), self.num_words)
        return tf.strings.join([self.header, _checksums(content), content])

    def unpack(self, strings: tf.Tensor) -> State:
        """Converts string [batch] to states; invalid strings fail an assertion."""
        content = self._content(strings)
        words = tf.io.decode_raw(content, tf.int32)
        words = tf.ensure_shape(words, (None, self.num_words))
        leaves = [
            tf.reshape(tf.bitcast(part, leaf.dtype), (-1, *leaf.shape[1:]))
            for part, leaf in zip(
                tf.split(words, self.sizes, axis=1), self.leaves, strict=True
            )
        ]
        state = tf.nest.pack_sequence_as(self.structure, leaves)
        state = _binary_leaves(_from_bits, state, self.unpacked)
        with tf.control_dependencies(_check_values(state)):
            return tf.nest.map_structure(tf.identity, state)

    def _content(self, strings: tf.Tensor) -> tf.Tensor:
        """The content after the checksums, which are verified."""
        size = tf.strings.length(strings)
        current = tf.strings.substr(strings, 0, len(MAGIC)) != FORMER_MAGIC
        must = "state_bytes must be of this release: compose again for a new state"
        with tf.control_dependencies([require(current, must)]):
            complete = (size == 0) | (size == self.num_bytes)
        must = f"state_bytes must be empty or {self.num_bytes} bytes"
        zero = self.pack(self.sampler.zero_state(1, BAR_STEPS))
        with tf.control_dependencies([require(complete, must, size)]):
            strings = tf.where(size == 0, zero, strings)
        own = tf.strings.substr(strings, 0, len(self.header)) == self.header
        must = "state_bytes must come from prefill or continue_ of this model version"
        with tf.control_dependencies([require(own, must)]):
            start = len(self.header) + CHECKSUM_BYTES
            content = tf.strings.substr(strings, start, self.num_bytes - start)
        told = tf.strings.substr(strings, len(self.header), CHECKSUM_BYTES)
        equal = told == _checksums(content)
        with tf.control_dependencies([require(equal, _UNCHANGED)]):
            return tf.identity(content)


def _checksums(strings: tf.Tensor) -> tf.Tensor:
    """The checksum of each string, string [batch]."""
    words = tf.reshape(tf.fingerprint(strings), (-1, CHECKSUM_BYTES // 4, 4))
    return _to_strings(tf.bitcast(words, tf.int32), CHECKSUM_BYTES // 4)


def _to_strings(words: tf.Tensor, num_words: int) -> tf.Tensor:
    """The bytes of int32 [batch, word], as string [batch]."""
    protos = tf.map_fn(
        tf.io.serialize_tensor, words, fn_output_signature=tf.TensorSpec([], tf.string)
    )
    # A serialized TensorProto ends with the tensor's content.
    num_bytes = _WORD_BYTES * num_words
    return tf.strings.substr(protos, -num_bytes, num_bytes)


def _binary_leaves(
    change: Callable[..., tf.Tensor], state: State, *others: State
) -> State:
    """Applies `change` to the leaves of a state that hold only 0 and 1."""
    network = state["network"]
    if "frames" not in network:
        return state
    frames = [each["network"]["frames"] for each in (state, *others)]
    changed = {name: change(*(each[name] for each in frames)) for name in _BINARY}
    return state | {"network": network | {"frames": frames[0] | changed}}


def _to_bits(leaf: tf.Tensor) -> tf.Tensor:
    """Packs zeros and ones, float [batch, ...], as int32 [batch, word]."""
    size = math.prod(leaf.shape[1:])
    flat = tf.cast(tf.reshape(leaf, (-1, size)), tf.int32)
    flat = tf.pad(flat, [[0, 0], [0, -size % _WORD_BITS]])
    bits = tf.reshape(flat, (-1, -(-size // _WORD_BITS), _WORD_BITS))
    return tf.reduce_sum(tf.bitwise.left_shift(bits, tf.range(_WORD_BITS)), axis=-1)


def _from_bits(words: tf.Tensor, leaf: tf.TensorSpec) -> tf.Tensor:
    """The inverse of `_to_bits`, in the shape of a leaf."""
    size = math.prod(leaf.shape[1:])
    bits = tf.bitwise.right_shift(words[..., None], tf.range(_WORD_BITS)) & 1
    flat = tf.reshape(bits, (-1, words.shape[1] * _WORD_BITS))[:, :size]
    return tf.cast(tf.reshape(flat, (-1, *leaf.shape[1:])), leaf.dtype)


def _check_values(state: State) -> list[tf.Operation]:
    """Rejects values that no real state has: they would break the sampling."""
    floats = [leaf for leaf in tf.nest.flatten(state) if leaf.dtype.is_floating]
    valid = [tf.reduce_all(tf.math.is_finite(leaf)) for leaf in floats]
    for name, most in _MOST.items():
        if name in state:
            valid.append(tf.reduce_all((state[name] >= 0) & (state[name] <= most)))
    play, others = state["frame"][..., :1], state["frame"][..., 1:]
    valid.append(tf.reduce_all((others == 0) | (play == 1)))
    return [
        require(tf.stack(valid), _UNCHANGED),
        check_range("bar_steps", state["bar_steps"], Limits()),
    ]
