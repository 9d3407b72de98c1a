"""Calls of a SavedModel's signatures that can be ended while they run.

TensorFlow's public functions run to their end; its runtime can be told to stop, which
tf.data uses too. A loop of the graph then ends before its next turn, here a step.
"""

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import cancellation, context, execute

from poph_tf.serving.tf_serving.rest_api import Arrays


class Call:
    """One run of a function of arrays; any thread may end it."""

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
            inputs: by the names of its inputs.
        """
        tensors = [tf.constant(inputs[name]) for name in sorted(inputs)]
        # TensorFlow's own way to a call with a manager is not for several threads.
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


# What a thread of the batcher runs.
Function = Callable[[Arrays, Call], Arrays]
