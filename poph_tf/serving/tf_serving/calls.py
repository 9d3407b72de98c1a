"""Calls of a SavedModel's signatures that can be cancelled while they run.

TensorFlow's public functions cannot be interrupted, but its runtime supports
cancellation, which tf.data uses too. A loop in the graph then ends before its next
iteration, which is one step here.
"""

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import cancellation, context, execute

from poph_tf.serving.tf_serving.rest_api import Arrays


class Call:
    """One run of a function on arrays; any thread may end it."""

    def __init__(self) -> None:
        self._manager = cancellation.CancellationManager()

    def end(self) -> None:
        """Ends the run; it raises tf.errors.CancelledError."""
        self._manager.start_cancel()

    @property
    def ended(self) -> bool:
        """Whether it was told to end."""
        return self._manager.is_cancelled

    def run(self, function: Any, inputs: Arrays) -> Arrays:
        """Runs a signature of a loaded SavedModel.

        Args:
            function: the signature.
            inputs: arrays by input name.
        """
        tensors = [tf.constant(inputs[name]) for name in sorted(inputs)]
        # TensorFlow's own function for calls with a manager is not thread-safe.
        ctx = context.context()
        flat = execute.execute_with_cancellation(
            function.name.decode(),
            len(function.outputs),
            [*tensors, *function.captured_inputs],
            tuple(itertools.chain(*ctx.function_call_options.as_attrs().items())),
            ctx,
            self._manager,
        )
        names = sorted(function.structured_outputs)
        return {name: value.numpy() for name, value in zip(names, flat, strict=True)}


# The functions that a thread of the batcher runs.
Function = Callable[[Arrays, Call], Arrays]
