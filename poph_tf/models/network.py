"""The stages of a network and the ways to run them.

A `Network` holds the layers that a `ModelConfig` asks for. The same methods build the
functional model from symbolic tensors, run a piece with its state carried from window
to window, and take one step of the sampler, so that what is trained, what is scored
and what is drawn from cannot drift apart:

    previous, bar position, style -> time_axis -> hidden -> pitch_axis -> outputs
                                                        \\-> PitchDecoder (pitch by pitch)

Conventions: whatever an LSTM walks along comes first, so that it finds its rows as it
reads them and nothing large is moved in between: `[time, batch, pitch, features]`, then
`[pitch, batch, time, features]`. Inputs and outputs are `[batch, time, pitch, ...]`;
pitches are in the order in which they are drawn only inside the pitch axis.
"""

import keras
import tensorflow as tf
from keras import ops

from poph_tf.models import layers

# Where the heads start: most cells are silent, and a network that has to learn that
# first spends its first hundred steps on it.
INITIAL_BIAS = {"play": -3.0, "replay": -2.0, "volume": 0.5}


class Network:
    """The layers of a model, named by stage, and their wiring.

    Args:
        config: ModelConfig.
    """

    def __init__(self, config):
        self.config = config
        # The channels of a frame that this model knows, play first.
        self.channels = [0] + [1] * config.replay + [2] * config.volume
        self.output_names = ["play"]
        self.output_names += ["replay"] * config.replay + ["volume"] * config.volume
        self._make_shared()
        self._make_time_axis()
        self._make_pitch_axis()

    def _make_shared(self):
        config = self.config
        self.style = None
        if config.style_units:
            self.style = keras.layers.Dense(config.style_units, name="style_embedding")
        self.input_dropout = {
            name: layers.Dropout(config.input_dropout, name=f"{name}_dropout")
            for name in ("previous", "current", "bar_position")
        }
        self.heads = keras.layers.Dense(
            len(self.channels),
            bias_initializer=keras.initializers.Constant(
                [INITIAL_BIAS[name] for name in self.output_names]
            ),
            name="heads",
            dtype="float32",
        )

    def _make_time_axis(self):
        config = self.config
        width = config.octave_width
        self.features = layers.NoteFeatures(
            config.min_pitch,
            kind=config.note_features,
            filters=config.octave_filters,
            width=width
            if config.note_features == "convolution"
            else config.window_width,
            class_counts=config.class_counts,
            bar_positions=config.bar_positions,
            dropout=config.dropout,
            name="note_features",
        )
        heads = {"num_heads": config.num_heads, "head_units": config.head_units}
        self.feature_attention = None
        if config.pitch_attention == "before_time":
            self.feature_attention = layers.PitchAttention(
                **heads, name="pitch_attention"
            )
        self.time_layers = self._lstms(
            "time", config.num_time_layers, config.num_time_units
        )
        self.time_attention = None
        if config.time_attention == "per_pitch":
            self.time_attention = layers.TimeAttention(
                config.time_attention_steps, **heads, name="time_attention"
            )
        self.frame_attention = None
        if config.time_attention == "frames":
            self.frame_attention = layers.FrameAttention(
                config.time_attention_steps,
                **heads,
                place_first=True,
                name="frame_attention",
            )

    def _make_pitch_axis(self):
        config = self.config
        self.nade = self.pitch_entry = self.pitch_attention = None
        self.pitch_layers = []
        self.chosen_notes = layers.ChosenNotes(
            config.pitch_context, config.window_width, name="chosen_notes"
        )
        heads = {"num_heads": config.num_heads, "head_units": config.head_units}
        if config.pitch_attention == "in_place_of_pitch":
            self.pitch_entry = keras.layers.Dense(
                config.num_pitch_units, name="pitch_entry"
            )
        elif config.pitch_model == "nade":
            self.nade = layers.PitchNade(
                config.num_pitch_units, config.window_width, name="pitch_nade"
            )
        else:
            self.pitch_layers = self._lstms(
                "pitch", config.num_pitch_layers, config.num_pitch_units
            )
        if config.pitch_attention in ("after_pitch", "in_place_of_pitch"):
            self.pitch_attention = layers.PitchAttention(
                causal=True, **heads, name="pitch_attention"
            )

    def _lstms(self, axis, num_layers, units):
        """Per layer: the style that enters before it, the LSTM, its dropout."""
        config = self.config
        return [
            (
                layers.StyleBias(
                    config.dropout, place_first=True, name=f"{axis}_style_{k}"
                )
                if config.style_units
                else None,
                layers.AxisLSTM(
                    units,
                    axis,
                    place_first=True,
                    recurrent_dropout=config.recurrent_dropout if axis == "time" else 0,
                    name=f"{axis}_lstm_{k}",
                ),
                layers.Dropout(config.dropout, name=f"{axis}_dropout_{k}"),
            )
            for k in range(num_layers)
        ]

    # Time: frames before t, with state.

    def zero_state(self, batch_size):
        """The state of the time axis at the start of a piece."""
        rows = batch_size * self.config.num_pitches
        state = {"lstm": [lstm.zero_state(rows) for _, lstm, _ in self.time_layers]}
        if self.time_attention:
            state["attention"] = self.time_attention.zero_state(rows)
        if self.frame_attention:
            state["frames"] = self.frame_attention.zero_state(
                batch_size, self.config.num_pitches
            )
        return state

    def embed_style(self, style):
        """float [batch, styles] -> float [batch, style_units], or None."""
        return self.style(style) if self.style else None

    def time_axis(self, inputs, state=None, training=None):
        """Runs stages 1 to 3.

        Args:
            inputs: dict with `previous` and, where the model has them, `bar_position`
                and `style`.
            state: as `zero_state` makes it; None for the start of a training window.

        Returns:
            (float [time, batch, pitch, features], the state after the last step).
        """
        embedding = self.embed_style(inputs["style"]) if self.style else None
        previous = self._pick_channels(inputs["previous"])
        previous = ops.transpose(previous, (1, 0, 2, 3))
        x = self.features(
            self.input_dropout["previous"](previous, training=training),
            self._bar_one_hot(inputs, training),
            training=training,
        )
        if self.feature_attention:
            x = self.feature_attention(x, training=training)
        after = {"lstm": []}
        for k, (bias, lstm, dropout) in enumerate(self.time_layers):
            x = bias(x, embedding, training=training) if bias else x
            if state is None:
                x = lstm(x)
            else:
                x, carried = lstm.scan(x, state["lstm"][k])
                after["lstm"].append(carried)
            x = dropout(x, training=training)
        x = self._attend_over_time(x, previous, state, after, training)
        return x, after

    def _attend_over_time(self, x, previous, state, after, training):
        if self.time_attention:
            x = ops.transpose(x, (1, 0, 2, 3))
            if state is None:
                x = self.time_attention(x, training=training)
            else:
                x, after["attention"] = self.time_attention.scan(x, state["attention"])
            x = ops.transpose(x, (1, 0, 2, 3))
        if self.frame_attention:
            if state is None:
                return self.frame_attention(x, previous)
            x, after["frames"] = self.frame_attention.scan(x, previous, state["frames"])
        return x

    def _pick_channels(self, frames):
        """Leaves out replay where a model has play and volume only."""
        if self.channels == [0, 2]:
            return ops.concatenate([frames[..., :1], frames[..., 2:3]], axis=-1)
        return frames[..., : self.channels[-1] + 1]

    def _bar_one_hot(self, inputs, training):
        places = self.config.bar_positions
        if not places:
            return None
        position = ops.clip(inputs["bar_position"], 0, places - 1)
        position = ops.transpose(position, (1, 0))
        one_hot = ops.one_hot(position, places, dtype=keras.config.floatx())
        return self.input_dropout["bar_position"](one_hot, training=training)

    # Pitch: the frame of t, up to but not including each pitch.

    def in_draw_order(self, x, axis):
        """Turns a pitch axis into draw order, or back (the same turn)."""
        if self.config.pitch_order == "descending":
            return ops.flip(x, axis=axis)
        return x

    def pitch_axis(self, hidden, inputs, training=None):
        """Runs stages 4 and 5 on frames that are known.

        Args:
            hidden: float [time, batch, pitch, features], from `time_axis`.
            inputs: dict with `current` and, where the model has it, `style`.

        Returns:
            dict of float32 [batch, time, pitch]: `play`, `replay` (logits), `volume`.
        """
        current = self._pick_channels(inputs["current"])
        current = self.input_dropout["current"](current, training=training)
        current = self.in_draw_order(current, 2)
        hidden = self.in_draw_order(hidden, 2)
        if self.pitch_layers:
            x = self._walk_pitches(hidden, current, inputs, training)
        else:
            x = self._all_pitches(hidden, ops.transpose(current, (1, 0, 2, 3)))
        if self.pitch_attention:
            x = self.pitch_attention(x, training=training)
        heads = self.heads(x)
        if not (self.pitch_layers and self.pitch_attention):
            back = (1, 2, 0, 3) if self.pitch_layers else (1, 0, 2, 3)
            heads = ops.transpose(heads, back)
        return self.split_heads(self.in_draw_order(heads, 2))

    def _walk_pitches(self, hidden, current, inputs, training):
        """float [time, batch, pitch, features] -> [pitch, batch, time, features]."""
        embedding = self.embed_style(inputs["style"]) if self.style else None
        chosen = ops.transpose(self.chosen_notes(current), (2, 0, 1, 3))
        x = ops.transpose(hidden, (2, 1, 0, 3))
        x = ops.concatenate([x, ops.cast(chosen, x.dtype)], axis=-1)
        for bias, lstm, dropout in self.pitch_layers:
            x = bias(x, embedding, training=training) if bias else x
            x = dropout(lstm(x), training=training)
        if self.pitch_attention:
            return ops.transpose(x, (1, 2, 0, 3))
        return x

    def _all_pitches(self, hidden, current):
        """Stage 4 without a walk, on float [time, batch, pitch, ...], as it returns."""
        if self.nade:
            return self.nade(hidden, current)
        chosen = ops.cast(self.chosen_notes(current), hidden.dtype)
        return self.pitch_entry(ops.concatenate([hidden, chosen], axis=-1))

    def split_heads(self, heads):
        """float [..., channels] -> dict of float [...] by output's name."""
        return {name: heads[..., k] for k, name in enumerate(self.output_names)}


class PitchDecoder:
    """Stages 4 and 5 of one time step, pitch by pitch: what the sampler calls.

    What does not depend on the notes drawn is computed here for all pitches at once.

    Args:
        network: Network.
        hidden: float [batch, pitch, features], from `time_axis` for one step.
        embedding: float [batch, style_units], or None.
    """

    def __init__(self, network, hidden, embedding):
        self.network = network
        self.num_rows = tf.shape(hidden)[0]
        self.embedding = embedding
        # Pitch first, so that a step reads one contiguous block.
        self.hidden = tf.transpose(network.in_draw_order(hidden, 1), (1, 0, 2))
        if network.pitch_layers:
            self._project_first_layer()

    def _project_first_layer(self):
        bias, lstm, _ = self.network.pitch_layers[0]
        width = self.network.chosen_notes.num_features(len(self.network.channels))
        nothing = tf.zeros([*self._pitch_rows(), width])
        x = tf.concat([self.hidden, nothing], axis=-1)
        if bias:
            x += bias.dense(self.embedding)
        self.projected = lstm.project(x)
        self.chosen_kernel = lstm.lstm.cell.kernel[-width:]

    def _pitch_rows(self):
        return tf.shape(self.hidden)[0], self.num_rows

    def zero_state(self):
        """The state before the first pitch, a dict by stage."""
        network, rows = self.network, self.num_rows
        num_channels = len(network.channels)
        state = {"lstm": [lstm.zero_state(rows) for _, lstm, _ in network.pitch_layers]}
        if network.nade:
            state["nade"] = network.nade.zero_state(rows, num_channels)
        else:
            state["chosen"] = network.chosen_notes.zero_state(rows, num_channels)
        if network.pitch_attention:
            state["attention"] = network.pitch_attention.zero_state(
                rows, network.config.num_pitches
            )
        return state

    def step(self, index, chosen, state):
        """Heads of one pitch.

        Args:
            index: int32 scalar, counted in draw order.
            chosen: float [batch, channel], what was drawn one place before; zeros at
                the first.
            state: dict as `zero_state` makes it.

        Returns:
            (dict of float [batch]: `play`, `replay` (logits), `volume`; state).
        """
        network, state, x = self.network, dict(state), self.hidden[index]
        if network.nade:
            x, state["nade"] = network.nade.step(x, chosen, state["nade"])
        else:
            seen, state["chosen"] = network.chosen_notes.step(chosen, state["chosen"])
            if network.pitch_layers:
                x, state["lstm"] = self._walk_lstms(index, seen, state["lstm"])
            else:
                x = network.pitch_entry(tf.concat([x, seen], axis=-1))
        if network.pitch_attention:
            x, state["attention"] = network.pitch_attention.step(
                x, index, state["attention"]
            )
        return network.split_heads(network.heads(x)), state

    def _walk_lstms(self, index, seen, states):
        x, after = None, []
        for (bias, lstm, _), state in zip(
            self.network.pitch_layers, states, strict=True
        ):
            if x is None:
                projected = self.projected[index]
                projected += tf.matmul(seen, self.chosen_kernel)
            else:
                x = x + bias.dense(self.embedding) if bias else x
                projected = lstm.project(x)
            x, state = lstm.step(projected, state)
            after.append(state)
        return x, after
