"""Runs the step of a converted model: for one row or several, with enough memory.

A flatbuffer of `serving/litert.py` has several signatures for a step. They differ in
the number of rows, and in the memory length of models that attend to earlier steps: the
length is fixed in a graph, and a short one costs less. A piece begins with the shortest
memory and switches to a longer one when it is full.

Signatures name the parts of the state `state...`; all are zero before the first step.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

STEP, STATE = "step", "state"
Arrays = dict[str, np.ndarray]


class Signature:
    """The inputs of a signature.

    Attributes:
        name: its name.
        inputs: shape and type of each input.
    """

    def __init__(self, interpreter: Any, name: str) -> None:
        self.name = name
        details = interpreter.get_signature_runner(name).get_input_details()
        self.inputs: dict[str, tuple[tuple[int, ...], Any]] = {
            key: (tuple(detail["shape"].tolist()), detail["dtype"])
            for key, detail in details.items()
        }

    def zeros(self, prefix: str = STATE) -> Arrays:
        """Zeros for the inputs whose names begin with `prefix`."""
        return {
            name: np.zeros(*detail)
            for name, detail in self.inputs.items()
            if name.startswith(prefix)
        }

    @property
    def num_rows(self) -> int:
        """How many rows a step takes."""
        return self.inputs["temperature"][0][0]


class LightStep:
    """The signatures of a converted model; each thread has its own interpreter.

    Args:
        content: the flatbuffer.

    Attributes:
        controls: shape and type of what a row reads in addition to its state.
        batch_rows: the most rows that a step takes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._of_thread = threading.local()
        interpreter = self._interpreter()
        names = interpreter.get_signature_list()
        self._signatures = {name: Signature(interpreter, name) for name in names}
        steps = [one for name, one in self._signatures.items() if name.startswith(STEP)]
        self.controls = {
            name: (shape[1:], dtype)
            for name, (shape, dtype) in self._signatures[STEP].inputs.items()
            if not name.startswith(STATE)
        }
        self.batch_rows = max(step.num_rows for step in steps)
        self._memories = _memories(steps)
        # The flags of filled places in the memory, [row, place].
        shapes = self._signatures[STEP].inputs
        flags = [name for name in self._memories if len(shapes[name][0]) == 2]
        self._filled = flags[0] if flags else None
        steps.sort(key=self._memory)
        self._steps: dict[int, list[Signature]] = {}
        for step in steps:
            self._steps.setdefault(step.num_rows, []).append(step)
        first = self._steps[1][0]
        # The first step of a process is slow, and prints which delegate runs it.
        self.run(first.name, first.zeros(""))

    def run(self, name: str, values: Mapping[str, np.ndarray]) -> Arrays:
        """Runs a signature on its inputs; other values are ignored."""
        runners = self._of_thread.__dict__
        if name not in runners:
            runners[name] = self._interpreter().get_signature_runner(name)
        inputs = self._signatures[name].inputs
        return runners[name](**{name: values[name] for name in inputs})

    def zeros(self, name: str = "") -> Arrays:
        """The state before the first step of a row, or that of another signature."""
        return (self._signatures[name] if name else self._steps[1][0]).zeros()

    def step(self, state: Arrays, controls: Arrays) -> tuple[np.ndarray, Arrays]:
        """Runs one step of some rows.

        Args:
            state: the state of the rows before the step.
            controls: with rows as the first axis.

        Returns:
            float32 [row, (track,) pitch, channel], and the state after it.
        """
        steps = self._steps[len(controls["temperature"])]
        at = 0
        if self._filled:
            filled = state[self._filled]
            at = [self._memory(step) for step in steps].index(filled.shape[1])
            if filled[:, 0].any() and at < len(steps) - 1:
                at += 1
                state = self._lengthened(state, self._memory(steps[at]))
        state = self.run(steps[at].name, {**state, **controls})
        return state.pop("frame"), state

    def stacked(self, states: Sequence[Arrays]) -> Arrays:
        """The states of some rows in one, all with the memory of the longest."""
        if len(states) == 1:
            return states[0]
        if self._filled:
            longest = max(state[self._filled].shape[1] for state in states)
            states = [self._lengthened(state, longest) for state in states]
        return {
            name: np.concatenate([state[name] for state in states])
            for name in states[0]
        }

    def _memory(self, step: Signature) -> int:
        return step.inputs[self._filled][0][1] if self._filled else 0

    def _lengthened(self, state: Arrays, length: int) -> Arrays:
        """A state with more memory; the new places are empty and count as oldest."""
        longer = {}
        for name in self._memories:
            value = state[name]
            missing = (0, length - value.shape[1])[::-1]
            longer[name] = np.pad(
                value, [(0, 0), missing, *[(0, 0)] * (value.ndim - 2)]
            )
        return state | longer

    def _interpreter(self) -> Any:
        own = self._of_thread.__dict__
        if "interpreter" not in own:
            from ai_edge_litert.interpreter import Interpreter

            own["interpreter"] = Interpreter(model_content=self._content, num_threads=1)
        return own["interpreter"]


def _memories(steps: Sequence[Signature]) -> list[str]:
    """The parts of the state whose second axis differs between signatures."""
    found = []
    for name, (shape, _) in steps[0].inputs.items():
        if name.startswith(STATE) and len(shape) > 1:
            lengths = {step.inputs[name][0][1] for step in steps}
            found += [name] * (len(lengths) > 1)
    return found


def split(state: Arrays, num_rows: int) -> list[Arrays]:
    """The inverse of `LightStep.stacked`."""
    parts = {name: np.split(value, num_rows) for name, value in state.items()}
    return [
        {name: part[row] for name, part in parts.items()} for row in range(num_rows)
    ]
