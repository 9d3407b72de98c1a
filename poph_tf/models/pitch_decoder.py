"""The pitch axis of one time step, pitch by pitch, as the sampler needs it.

Rows are the pieces of a batch; pitches are in draw order.
"""

from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from poph_tf.models.network import Network, Outputs, State


class PitchDecoder:
    """Stages 4 and 5 of one time step, pitch by pitch, for the sampler.

    Everything that does not depend on the drawn notes is computed for all pitches at
    once when the decoder is created.

    Args:
        network: The network.
        hidden: float [batch, pitch, features], from `time_axis` for one step.
        embedding: float [batch, style_units], or None.
    """

    def __init__(
        self, network: Network, hidden: Tensor, embedding: Tensor | None
    ) -> None:
        self.network = network
        self.num_rows = tf.shape(hidden)[0]
        self.embedding = embedding
        # Pitch first, so that a step reads one contiguous block.
        self.hidden = tf.transpose(network.in_draw_order(hidden, 1), (1, 0, 2))
        if network.pitch_layers:
            self._project_first_layer()

    def _project_first_layer(self) -> None:
        style, lstm, _ = self.network.pitch_layers[0]
        width = self.network.context.num_features(len(self.network.channels))
        no_context = tf.zeros([tf.shape(self.hidden)[0], self.num_rows, width])
        x = tf.concat([self.hidden, no_context], axis=-1)
        if style:
            x += style.dense(self.embedding)
        self.projected = lstm.project(x)
        self.context_kernel = lstm.lstm.cell.kernel[-width:]

    def zero_state(self) -> State:
        """Returns the state before the first pitch, by stage."""
        network, rows = self.network, self.num_rows
        lstms = [lstm for _, lstm, _ in network.pitch_layers]
        state: State = {"lstm": [lstm.zero_state(rows) for lstm in lstms]}
        context = network.nade or network.context
        state["context"] = context.zero_state(rows, len(network.channels))
        if network.pitch_attention:
            state["attention"] = network.pitch_attention.zero_state(
                rows, network.config.num_pitches
            )
        return state

    def step(self, index: Tensor, drawn: Tensor, state: State) -> tuple[Outputs, State]:
        """Computes the heads of one pitch.

        Args:
            index: int32 scalar, counted in draw order.
            drawn: float [batch, channel], the cell drawn just before; zeros at first.
            state: As from `zero_state`.

        Returns:
            float [batch] by name (`play`, `replay` logits, `volume`), and the state.
        """
        network, state, x = self.network, dict(state), self.hidden[index]
        if network.nade:
            x, state["context"] = network.nade.step(x, drawn, state["context"])
        else:
            seen, state["context"] = network.context.step(drawn, state["context"])
            if network.pitch_layers:
                x, state["lstm"] = self._step_lstms(index, seen, state["lstm"])
            else:
                x = network.pitch_entry(tf.concat([x, seen], axis=-1))
        if network.pitch_attention:
            x, state["attention"] = network.pitch_attention.step(
                x, index, state["attention"]
            )
        return network.split_heads(network.heads(x)), state

    def _step_lstms(
        self, index: Tensor, seen: Tensor, states: list[Any]
    ) -> tuple[Tensor, list[Any]]:
        (_, first, _), *others = self.network.pitch_layers
        projected = self.projected[index] + tf.matmul(seen, self.context_kernel)
        x, state = first.step(projected, states[0])
        after = [state]
        for (style, lstm, _), state in zip(others, states[1:], strict=True):
            x = x + style.dense(self.embedding) if style else x
            x, state = lstm.step(lstm.project(x), state)
            after.append(state)
        return x, after
