"""The stages of a network: which layers a model has, and how they are connected.

The same methods build the functional model from symbolic tensors, run a piece with its
state carried from window to window, and take one step of the sampler, so that training,
scoring and sampling compute the same function:

    previous, bar position, style -> time_axis -> hidden -> pitch_axis -> outputs

`PitchDecoder` runs the pitch axis of one step pitch by pitch, for the sampler.

Axis order: inputs and outputs are `[batch, time, pitch, ...]`. Inside, the axis that an
LSTM runs along comes first, so that nothing large is transposed: `[time, batch, pitch,
features]` (time-major, also `hidden`), then `[pitch, batch, time, features]`. Only
inside the pitch axis are pitches in draw order.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops
from tensorflow import Tensor

from poph_tf.config import ModelConfig
from poph_tf.models import layers
from poph_tf.theory import UNKNOWN

# Initial biases of the heads. Most cells are silent; without these biases, a network
# spends its first hundred steps learning that.
INITIAL_BIAS = {"play": -3.0, "replay": -2.0, "volume": 0.5}
BATCH_TIME_SWAP = (1, 0, 2, 3)

Inputs = Mapping[str, Tensor]
Outputs = dict[str, Tensor]
State = dict[str, Any]


class Network:
    """The layers of a model by stage, and their wiring.

    Args:
        config: The settings of the model.

    Attributes:
        output_names: The heads, in order.
        channels: The channels of a frame that the model uses, play first.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        flags = {"play": True, "replay": config.replay, "volume": config.volume}
        self.output_names = [name for name, used in flags.items() if used]
        self.channels = [k for k, used in enumerate(flags.values()) if used]
        self.num_tracks = max(len(config.tracks), 1)
        self._make_shared()
        self._make_time_axis()
        self._make_pitch_axis()

    def _make_shared(self) -> None:
        config = self.config
        self.style = None
        self.bars_left = layers.BarsLeft(name="bars_left_features")
        if config.style_units:
            self.style = keras.layers.Dense(config.style_units, name="style_embedding")
        self.input_dropout = {
            name: layers.Dropout(config.input_dropout, name=f"{name}_dropout")
            for name in ("previous", "current", "bar_position")
        }
        biases = [INITIAL_BIAS[name] for name in self.output_names]
        self.heads = keras.layers.Dense(
            len(biases),
            bias_initializer=keras.initializers.Constant(biases),
            name="heads",
            dtype="float32",
        )

    def _attention(self, layer: type, *args: Any, **options: Any) -> Any:
        heads, units = self.config.num_heads, self.config.head_units
        return layer(*args, num_heads=heads, head_units=units, **options)

    def _make_time_axis(self) -> None:
        config = self.config
        convolution = config.note_features == "convolution"
        self.features = layers.NoteFeatures(
            config.min_pitch,
            kind=config.note_features,
            filters=config.octave_filters,
            width=config.octave_width if convolution else config.window_width,
            class_counts=config.class_counts,
            dropout=config.dropout,
            num_tracks=self.num_tracks,
            name="note_features",
        )
        self.feature_attention = self.time_attention = self.frame_attention = None
        if config.attends_along_pitch_first:
            self.feature_attention = self._attention(
                layers.PitchAttention, name="pitch_attention"
            )
        self.time_layers = self._recurrent_layers(
            "time", config.num_time_layers, config.num_time_units
        )
        steps = config.time_attention_steps
        if config.time_attention == "per_pitch":
            self.time_attention = self._attention(
                layers.TimeAttention, steps, name="time_attention"
            )
        if config.time_attention == "frames":
            self.frame_attention = self._attention(
                layers.FrameAttention,
                steps,
                time_major=True,
                num_tracks=self.num_tracks,
                name="frame_attention",
            )

    def _make_pitch_axis(self) -> None:
        config, units = self.config, self.config.num_pitch_units
        self.nade: Any = None
        self.pitch_entry: Any = None
        self.pitch_attention: Any = None
        self.pitch_layers: list[Any] = []
        self.context = layers.AutoregressiveContext(
            config.pitch_context, config.window_width, name="autoregressive_context"
        )
        if config.pitch_attention == "in_place_of_pitch":
            self.pitch_entry = keras.layers.Dense(units, name="pitch_entry")
        elif config.pitch_model == "nade":
            self.nade = layers.PitchNade(units, config.window_width, name="pitch_nade")
        else:
            self.pitch_layers = self._recurrent_layers(
                "pitch", config.num_pitch_layers, units
            )
        if config.pitch_attention in ("after_pitch", "in_place_of_pitch"):
            self.pitch_attention = self._attention(
                layers.PitchAttention, causal=True, name="pitch_attention"
            )

    def _recurrent_layers(self, axis: str, num_layers: int, units: int) -> list[Any]:
        """Returns (style or None, LSTM, dropout) of each layer along an axis."""
        config = self.config
        recurrent_dropout = config.recurrent_dropout if axis == "time" else 0.0
        style, made = None, []
        for k in range(num_layers):
            if config.style_units:
                style = layers.StyleBias(
                    config.dropout, axis_first=True, name=f"{axis}_style_{k}"
                )
            lstm = layers.AxisLSTM(
                units,
                axis,
                axis_first=True,
                recurrent_dropout=recurrent_dropout,
                name=f"{axis}_lstm_{k}",
            )
            dropout = layers.Dropout(config.dropout, name=f"{axis}_dropout_{k}")
            made.append((style, lstm, dropout))
        return made

    # Time: frames before t, with state.

    def zero_state(self, batch_size: Tensor) -> State:
        """Returns the state of the time axis at the start of a piece."""
        num_pitches = self.config.num_pitches
        rows = batch_size * num_pitches
        state: State = {
            "lstm": [lstm.zero_state(rows) for _, lstm, _ in self.time_layers]
        }
        if self.time_attention:
            state["attention"] = self.time_attention.zero_state(rows)
        if self.frame_attention:
            state["frames"] = self.frame_attention.zero_state(batch_size, num_pitches)
        return state

    def embed_style(self, style: Tensor | None) -> Tensor | None:
        """Embeds float [batch, styles] as [batch, style_units]; None without styles."""
        return self.style(style) if self.style else None

    def time_axis(
        self, inputs: Inputs, state: State | None = None, training: bool | None = None
    ) -> tuple[Tensor, State]:
        """Runs stages 1 to 3.

        Args:
            inputs: `previous` and, if the model has them, `bar_position` and `style`.
            state: As from `zero_state`; None at the start of a training window.
            training: Whether to apply dropout.

        Returns:
            Time-major features, float [time, batch, pitch, features], and the state
            after the last step (meaningless if `state` is None).
        """
        embedding = self.embed_style(inputs.get("style"))
        previous = self._time_major(self._select_channels(inputs["previous"]))
        x = self._features(previous, inputs, training)
        if self.feature_attention:
            x = self.feature_attention(x, training=training)
        after: State = {"lstm": []}
        for k, (style, lstm, dropout) in enumerate(self.time_layers):
            x = style(x, embedding, training=training) if style else x
            x, carried = _run(lstm, state and state["lstm"][k], x)
            after["lstm"].append(carried)
            x = dropout(x, training=training)
        return self._attend_over_time(x, previous, state or {}, after), after

    def _time_major(self, frames: Tensor) -> Tensor:
        """Puts time first and, with tracks, their channels side by side."""
        return ops.transpose(frames, BATCH_TIME_SWAP)

    def _features(
        self, previous: Tensor, inputs: Inputs, training: bool | None
    ) -> Tensor:
        return self.features(
            self.input_dropout["previous"](previous, training=training),
            self._bar_features(inputs, training),
            training=training,
        )

    def _attend_over_time(
        self, x: Tensor, previous: Tensor, before: State, after: State
    ) -> Tensor:
        if self.time_attention:
            x, past = ops.transpose(x, BATCH_TIME_SWAP), before.get("attention")
            x, after["attention"] = _run(self.time_attention, past, x)
            x = ops.transpose(x, BATCH_TIME_SWAP)
        if self.frame_attention:
            past = before.get("frames")
            x, after["frames"] = _run(self.frame_attention, past, x, previous)
        return x

    def _select_channels(self, frames: Tensor) -> Tensor:
        if self.channels == [0, 2]:
            return ops.concatenate([frames[..., :1], frames[..., 2:3]], axis=-1)
        return frames[..., : self.channels[-1] + 1]

    def _bar_features(self, inputs: Inputs, training: bool | None) -> Tensor | None:
        """Features of the position in time, [time, batch, places], or None."""
        parts = []
        if places := self.config.bar_positions:
            position = ops.clip(inputs["bar_position"], 0, places - 1)
            position = ops.transpose(position, (1, 0))
            one_hot = ops.one_hot(position, places, dtype=keras.config.floatx())
            dropout = self.input_dropout["bar_position"]
            parts.append(dropout(one_hot, training=training))
        if self.config.bars_left:
            left = of_steps(inputs, "bars_left")
            left = ops.transpose(self.bars_left(left), (1, 0, 2))
            parts.append(ops.cast(left, keras.config.floatx()))
        return ops.concatenate(parts, axis=-1) if parts else None

    # Pitch: the frame of t, up to but not including each pitch.

    def in_draw_order(self, x: Tensor, axis: int) -> Tensor:
        """Puts a pitch axis into draw order, or back."""
        if self.config.pitch_order == "descending":
            return ops.flip(x, axis=axis)
        return x

    def pitch_axis(
        self, hidden: Tensor, inputs: Inputs, training: bool | None = None
    ) -> Outputs:
        """Runs stages 4 and 5 on known frames.

        Args:
            hidden: float [time, batch, pitch, features], from `time_axis`.
            inputs: `current` and, if the model has it, `style`.
            training: Whether to apply dropout.

        Returns:
            float32 [batch, time, pitch] by name: `play`, `replay` (logits), `volume`.
        """
        current = self._select_channels(inputs["current"])
        current = self.input_dropout["current"](current, training=training)
        current = self.in_draw_order(current, 2)
        hidden = self.in_draw_order(hidden, 2)
        order = (1, 2, 0, 3) if self.pitch_layers else BATCH_TIME_SWAP
        if self.pitch_layers:
            x = self._run_along_pitch(hidden, current, inputs, training)
        else:
            x = self._all_pitches(hidden, ops.transpose(current, BATCH_TIME_SWAP))
        if self.pitch_layers and self.pitch_attention:
            # Attention along pitch needs that axis next to the features.
            x, order = ops.transpose(x, order), (0, 1, 2, 3)
        if self.pitch_attention:
            x = self.pitch_attention(x, training=training)
        heads = ops.transpose(self.heads(x), order)
        return self.split_heads(self.in_draw_order(heads, 2))

    def _run_along_pitch(
        self, hidden: Tensor, current: Tensor, inputs: Inputs, training: bool | None
    ) -> Tensor:
        """Runs the LSTMs of stage 4; returns [pitch, batch, time, features]."""
        embedding = self.embed_style(inputs.get("style"))
        context = ops.transpose(self.context(current), (2, 0, 1, 3))
        x = ops.transpose(hidden, (2, 1, 0, 3))
        x = ops.concatenate([x, ops.cast(context, x.dtype)], axis=-1)
        for style, lstm, dropout in self.pitch_layers:
            x = style(x, embedding, training=training) if style else x
            x = dropout(lstm(x), training=training)
        return x

    def _all_pitches(self, hidden: Tensor, current: Tensor) -> Tensor:
        """Runs stage 4 without recurrence; all arrays are time-major."""
        if self.nade:
            return self.nade(hidden, current)
        context = ops.cast(self.context(current), hidden.dtype)
        return self.pitch_entry(ops.concatenate([hidden, context], axis=-1))

    def split_heads(self, heads: Tensor) -> Outputs:
        """Splits float [..., channels] into float [...] by the output's name."""
        return {name: heads[..., k] for k, name in enumerate(self.output_names)}


def of_steps(inputs: Inputs, name: str) -> Tensor:
    """Returns an optional input, int32 [batch, time]; unknown if it is left out."""
    found = inputs.get(name)
    if found is None:
        previous = inputs["previous"]
        first = previous[(slice(None), slice(None)) + (0,) * (len(previous.shape) - 2)]
        found = ops.full_like(first, UNKNOWN, dtype="int32")
    return found


def _run(layer: Any, state: Any, *inputs: Tensor) -> tuple[Tensor, Any]:
    """Calls a layer, or continues it from a state."""
    return (layer(*inputs), None) if state is None else layer.scan(*inputs, state)
