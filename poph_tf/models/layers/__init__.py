"""The layers that the presets are built from, by stage.

`features`: what each pitch knows of the previous frame. `attention`: self-attention
along pitch and along time. `recurrent`: LSTMs along one axis, and the style that
enters before each. `chosen`: what a pitch knows of the notes chosen in its own frame.
`nade`: the pitch axis as a NADE. `harmony`: the harmony loss.
`dropout`: masks that cost little.

Conventions: float tensors `[batch, time, pitch, features]`. A layer that carries state
along time has `scan(x, state)` beside `call(x)`, and `zero_state`; one that is walked
along pitch by the sampler has `step(x, state)`. `call` equals `scan` from the zero
state and the sequence of `step`s; tests hold them together.
"""

from poph_tf.models.layers.attention import PitchAttention, TimeAttention
from poph_tf.models.layers.autoregressive_context import ChosenNotes
from poph_tf.models.layers.dropout import Dropout
from poph_tf.models.layers.features import NoteFeatures
from poph_tf.models.layers.frame_attention import FrameAttention
from poph_tf.models.layers.harmony import HarmonyLoss
from poph_tf.models.layers.nade import PitchNade
from poph_tf.models.layers.recurrent import AxisLSTM, StyleBias

__all__ = [
    "AxisLSTM",
    "ChosenNotes",
    "Dropout",
    "FrameAttention",
    "HarmonyLoss",
    "NoteFeatures",
    "PitchAttention",
    "PitchNade",
    "StyleBias",
    "TimeAttention",
]
