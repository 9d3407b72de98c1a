"""The published models by name, and those of this project.

To add a preset, add a name and the settings in which it differs from another one.

Sources: Johnson (2017) for `tp_lstm_nade` and `biaxial`; Mao, Shin and Cottrell (2018)
for `deepj`; Anokhin and Nuzhin (2018) for `poph`.
"""

import dataclasses
from typing import Any

from poph_tf.config.declaration import check_names, current_names
from poph_tf.config.model import ModelConfig
from poph_tf.errors import InputError

_BIAXIAL = ModelConfig(
    preset="biaxial",
    volume=False,
    style_units=0,
    note_features="window",
    class_counts="relative",
    num_time_units=200,
    num_pitch_units=100,
)
_DEEPJ = ModelConfig(preset="deepj", input_dropout=0.2)
# Johnson's window and relative counts cost no matrix product and commute with
# transposition, which DeepJ's pitch class one-hot does not. As the autoregressive
# context they spare the LSTM along pitch from learning to count. Attention by frames
# commutes with transposition too, at 1/pitches of the cost of attention per pitch.
# Small layers with little dropout learn corpora of a few hundred pieces better than the
# published sizes. There is no harmony loss: it pulls away from the data's distribution.
# The manual's page on ablations measures each choice.
_POPH2 = ModelConfig(
    preset="poph2",
    note_features="window",
    class_counts="relative",
    pitch_context="window",
    pitch_attention="before_time",
    time_attention="frames",
    head_units=32,
    num_time_units=128,
    num_pitch_units=64,
    dropout=0.3,
)
# For models with tracks; without tracks it is poph2 plus the bars left. With tracks,
# attention along pitch gains less than 0.01 nats for a third of a training step.
_POPH3 = dataclasses.replace(
    _POPH2,
    preset="poph3",
    pitch_attention="without_tracks",
    bars_left=True,
    time_attention_steps=512,
    voice_leading=True,
)

PRESETS = {
    "tp_lstm_nade": dataclasses.replace(
        _BIAXIAL, preset="tp_lstm_nade", replay=False, pitch_model="nade"
    ),
    "biaxial": _BIAXIAL,
    "deepj": _DEEPJ,
    "poph": dataclasses.replace(
        _DEEPJ, preset="poph", pitch_attention="before_time", harmony_weight=1.0
    ),
    "poph2": _POPH2,
    "poph3": _POPH3,
}


def preset(name: str, **fields: Any) -> ModelConfig:
    """Returns the settings of a preset with fields replaced.

    Raises:
        InputError: If there is no such preset or field, or a value is impossible.
    """
    fields = current_names(ModelConfig, fields)
    for known in (name, fields.get("preset", name)):
        if known not in PRESETS:
            choices = ", ".join(PRESETS)
            raise InputError(f"preset must be one of {choices}, got {known!r}.")
    check_names(ModelConfig, fields)
    return dataclasses.replace(PRESETS[name], **fields)
