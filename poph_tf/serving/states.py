"""The sampler's state as bytes: what a client keeps between one bar and the next.

The server remembers nothing. A piece's state is one string of little-endian 32-bit
words: a mark of the model that it belongs to, then the tensors of `Sampler`'s state
one after the other. The empty string is the state before the first step of a piece in
4/4. A state that was cut short, made up, or written by another model is refused.
"""

import math

import numpy as np
import tensorflow as tf

from poph_tf.serving import limits

MAGIC = b"PHS1"
MARK_BYTES = 8
_HEADER_WORDS = (len(MAGIC) + MARK_BYTES) // 4
_WORD_BYTES = 4
BAR_STEPS = 16
_COUNTERS = ("step", "bar_position", "silent_steps")
_MAX_COUNT = 2**30


class StateBytes:
    """Turns states into strings and back, in the graph.

    Args:
        sampler: Sampler.
        mark: bytes, 8 of them, of the model's weights.
    """

    def __init__(self, sampler, mark):
        self.sampler = sampler
        zero = sampler.zero_state(1, BAR_STEPS)
        self.structure = zero
        # With one piece, the first axis is the rows that each piece has.
        self.shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten(zero)]
        self.dtypes = [leaf.dtype for leaf in tf.nest.flatten(zero)]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.header = np.frombuffer(MAGIC + mark, np.int32)
        self.num_words = _HEADER_WORDS + sum(self.sizes)
        self.num_bytes = _WORD_BYTES * self.num_words

    def pack(self, state):
        """Nested state of a batch -> string [batch]."""
        batch = tf.shape(state["step"])[0]
        words = [tf.tile(self.header[None], (batch, 1))]
        for leaf, size in zip(tf.nest.flatten(state), self.sizes, strict=True):
            words.append(tf.bitcast(tf.reshape(leaf, (batch, size)), tf.int32))
        return tf.map_fn(
            self._raw,
            tf.concat(words, axis=1),
            fn_output_signature=tf.TensorSpec([], tf.string),
        )

    def _raw(self, words):
        # A serialized TensorProto ends with the tensor's content.
        proto = tf.io.serialize_tensor(words)
        return tf.strings.substr(proto, -self.num_bytes, self.num_bytes)

    def unpack(self, strings):
        """string [batch] -> nested state; what is no state fails."""
        size = tf.strings.length(strings)
        whole = (size == 0) | (size == self.num_bytes)
        wrong_size = f"state_bytes must be empty or {self.num_bytes} bytes"
        zero = self.pack(self.sampler.zero_state(1, BAR_STEPS))
        with tf.control_dependencies([limits.must(whole, wrong_size, size)]):
            strings = tf.where(size == 0, zero, strings)
        words = tf.io.decode_raw(strings, tf.int32)
        words = tf.ensure_shape(words, (None, self.num_words))
        ours = words[:, :_HEADER_WORDS] == self.header
        foreign = "state_bytes must come from hear or continue_ of this model version"
        with tf.control_dependencies([limits.must(ours, foreign)]):
            state = self._split(tf.identity(words))
        with tf.control_dependencies(_check_values(state)):
            return tf.nest.map_structure(tf.identity, state)

    def _split(self, words):
        parts = tf.split(words, [_HEADER_WORDS, *self.sizes], axis=1)[1:]
        leaves = [
            tf.reshape(tf.bitcast(part, dtype), (-1, *shape[1:]))
            for part, dtype, shape in zip(parts, self.dtypes, self.shapes, strict=True)
        ]
        return tf.nest.pack_sequence_as(self.structure, leaves)


def _check_values(state):
    """What no state of ours can hold: it would stop or spoil the drawing."""
    leaves = tf.nest.flatten(state)
    finite = [
        tf.reduce_all(tf.math.is_finite(leaf))
        for leaf in leaves
        if leaf.dtype.is_floating
    ]
    counts = [(state[name] >= 0) & (state[name] < _MAX_COUNT) for name in _COUNTERS]
    frame = state["frame"]
    sound = [tf.reduce_all(x) for x in (*counts, (frame >= 0) & (frame <= 1))]
    return [
        limits.must(tf.stack(finite + sound), "state_bytes must be unchanged"),
        limits.check_bar_steps(state["bar_steps"]),
    ]
