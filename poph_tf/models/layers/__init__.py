"""The layers of the presets, by stage.

`features`: features of each pitch of the previous frame. `attention` and
`frame_attention`: self-attention along pitch and along time. `recurrent`: LSTMs along
one axis, and the style added before each. `autoregressive_context`: features of the
notes drawn so far in a step. `look_ahead`: the given notes, and those of other tracks
in the same step. `scale_degrees`: which degree of the key a pitch is.
`chord_progression`: the probability of each chord after those before it.
`returning_bar`: what sounded in the bar that this one returns to. `voice_leading`: how
the interval between two voices changes. `voice_ranges`: how common each pitch is in
each voice. `nade`: the pitch axis as a NADE. `harmony`: the harmony
loss. `dropout`: dropout with cheap masks.

Conventions: float tensors `[batch, time, pitch, features]`. A layer with a state along
time has `zero_state` and `scan(x, state)`; a layer that the sampler runs pitch by pitch
has `zero_state` and `step(x, state)`. `call` returns the same as `scan` from the zero
state, and as a sequence of `step`s; tests compare them.
"""

from poph_tf.models.layers.attention import PitchAttention, TimeAttention
from poph_tf.models.layers.autoregressive_context import AutoregressiveContext
from poph_tf.models.layers.dropout import Dropout
from poph_tf.models.layers.features import NoteFeatures
from poph_tf.models.layers.frame_attention import FrameAttention
from poph_tf.models.layers.harmony import HarmonyLoss
from poph_tf.models.layers.look_ahead import (
    BarsLeft,
    LookAhead,
    SideBySide,
    StruckNotes,
    TrackContext,
    TrackNotes,
)
from poph_tf.models.layers.nade import PitchNade
from poph_tf.models.layers.recurrent import AxisLSTM, StyleBias
from poph_tf.models.layers.returning_bar import ReturningBar
from poph_tf.models.layers.scale_degrees import ScaleDegrees
from poph_tf.models.layers.voice_leading import VoiceLeading

__all__ = [
    "AutoregressiveContext",
    "AxisLSTM",
    "BarsLeft",
    "Dropout",
    "FrameAttention",
    "HarmonyLoss",
    "LookAhead",
    "NoteFeatures",
    "PitchAttention",
    "PitchNade",
    "ReturningBar",
    "ScaleDegrees",
    "SideBySide",
    "StruckNotes",
    "StyleBias",
    "TimeAttention",
    "TrackContext",
    "TrackNotes",
    "VoiceLeading",
]
