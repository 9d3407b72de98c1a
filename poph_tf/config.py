"""Settings of models and of training, as frozen dataclasses passed as arguments.

`ModelConfig` fixes what a network is; it is stored beside its weights. `PRESETS` holds
the published models by name, and `poph2`, ours. `TrainingConfig` fixes how one was
trained. Both go to JSON and back, and refuse unknown keys and impossible values.

Sources: Johnson (2017) for `tp_lstm_nade` and `biaxial`; Mao, Shin and Cottrell (2018)
for `deepj`; Anokhin and Nuzhin (2018) for `poph`.
"""

import dataclasses
from dataclasses import dataclass

from poph_tf import settings, theory
from poph_tf.errors import InputError

# What `style` means for a model that was told of no styles: the vector [1].
SINGLE_STYLE = ("any",)


_CHOICES = {
    "preset": ("tp_lstm_nade", "biaxial", "deepj", "poph", "poph2"),
    "note_features": ("convolution", "window"),
    "class_counts": ("own", "relative"),
    "pitch_attention": ("none", "before_time", "after_pitch", "in_place_of_pitch"),
    "time_attention": ("none", "per_pitch", "frames"),
    "pitch_model": ("lstm", "nade"),
    "chosen_notes": ("note", "window"),
    "pitch_order": ("ascending", "descending"),
    "minor_scale": tuple(sorted(theory.MINOR_SCALES)),
    "optimizer": ("adam", "adamw", "muon", "nadam", "rmsprop", "sgd"),
    "schedule": ("constant", "cosine"),
    "precision": ("float32", "mixed_bfloat16"),
}

# name: (lowest, highest) that is allowed.
_MANY = 1_000_000
_RANGES = {
    "min_pitch": (0, 127),
    "num_pitches": (1, 128),
    "bar_positions": (0, 256),
    "style_units": (0, 4096),
    "octave_filters": (1, 4096),
    "octave_width": (1, 128),
    "window_width": (1, 127),
    "time_attention_steps": (1, 65536),
    "num_heads": (1, 64),
    "head_units": (1, 1024),
    "num_time_layers": (1, 16),
    "num_time_units": (1, 8192),
    "num_pitch_layers": (1, 16),
    "num_pitch_units": (1, 8192),
    "harmony_weight": (0.0, 1e6),
    "input_dropout": (0.0, 0.95),
    "dropout": (0.0, 0.95),
    "recurrent_dropout": (0.0, 0.95),
    "window_steps": (2, 65536),
    "batch_size": (1, 65536),
    "epochs": (1, _MANY),
    "max_steps": (0, 10**9),
    "max_minutes": (0.0, 1e6),
    "learning_rate": (0.0, 100.0),
    "warmup_steps": (0, 10**9),
    "clip_norm": (0.0, 1e9),
    "ema_decay": (0.0, 0.999999),
    "patience": (0, _MANY),
    "validate_every": (0, 10**9),
    "max_valid_pieces": (0, 10**9),
    "min_transpose": (-48, 48),
    "max_transpose": (-48, 48),
    "shuffle_windows": (1, 10**7),
    "checkpoint_minutes": (0.0, 1e6),
    "preview_bars": (0, 1024),
    "seed": (0, 2**31 - 1),
}


@dataclass(frozen=True)
class ModelConfig(settings.Stored):
    """What a network is made of, stage by stage in their order."""

    preset: str = "poph"

    # The roll that the model sees and draws.
    min_pitch: int = 36  # MIDI number of the lowest pitch
    num_pitches: int = 48
    replay: bool = True
    volume: bool = True
    bar_positions: int = 16  # places of the one-hot; 0: not told the bar position
    style_units: int = 64  # width of the style embedding; 0: not told the style
    styles: tuple[str, ...] = SINGLE_STYLE  # the vocabulary, in the order of `style`
    style_shares: tuple[float, ...] = (1.0,)  # share of training steps by style

    # 1. Note features.
    note_features: str = "convolution"  # or "window" (Johnson)
    octave_filters: int = 64
    octave_width: int = 24  # semitones under the octave convolution
    window_width: int = 25  # semitones in Johnson's windows, centred
    class_counts: str = "own"  # counts of "own" pitch class, or all 12 "relative"

    # 2. Self-attention along pitch.
    pitch_attention: str = "none"  # before_time, after_pitch, in_place_of_pitch
    # Causal self-attention along time.
    time_attention: str = "none"  # per_pitch, frames
    time_attention_steps: int = 128  # how many steps back it can look
    num_heads: int = 4
    head_units: int = 64

    # 3. and 4. The two axes.
    num_time_layers: int = 2
    num_time_units: int = 256
    pitch_model: str = "lstm"  # or "nade"
    num_pitch_layers: int = 2
    num_pitch_units: int = 128
    # What an LSTM along pitch is told of the notes chosen: the "note" one place before,
    # or the "window" of those before and their class counts, as the NADE always is.
    chosen_notes: str = "note"
    pitch_order: str = "ascending"  # the order in which pitches are drawn

    # Losses and regularization.
    harmony_weight: float = 0.0  # lambda; 0 leaves the term out
    minor_scale: str = "natural"
    input_dropout: float = 0.0
    dropout: float = 0.5
    recurrent_dropout: float = 0.0  # on the states of the LSTMs along time

    def __post_init__(self):
        settings.check(self, _CHOICES, _RANGES)
        if self.min_pitch + self.num_pitches > 128:
            raise InputError(
                f"min_pitch + num_pitches must be at most 128, got "
                f"{self.min_pitch} + {self.num_pitches}."
            )
        if len(self.styles) != len(self.style_shares) or not self.styles:
            raise InputError(
                f"style_shares must have one share for each of the {len(self.styles)} "
                f"styles (at least one), got {len(self.style_shares)}."
            )
        if len(set(self.styles)) != len(self.styles):
            raise InputError(f"styles must be distinct, got {self.styles}.")
        if self.window_width % 2 == 0:
            raise InputError(f"window_width must be odd, got {self.window_width}.")
        if self.pitch_model == "nade" and self.pitch_attention == "in_place_of_pitch":
            raise InputError(
                "pitch_attention=in_place_of_pitch leaves out the pitch axis, so it "
                "goes with pitch_model=lstm, got nade."
            )

    @property
    def max_pitch(self):
        """MIDI number of the highest pitch that the model sees."""
        return self.min_pitch + self.num_pitches - 1


@dataclass(frozen=True)
class TrainingConfig(settings.Stored):
    """How a network is trained; stored with the model."""

    window_steps: int = 128  # at most; shorter pieces are windows of their own
    batch_size: int = 16  # windows in the global batch, whatever the replicas
    epochs: int = 100
    max_steps: int = 0  # optimizer steps; 0: as many as `epochs` has
    max_minutes: float = 0.0  # minutes spent training; 0: no limit
    optimizer: str = "nadam"  # adam, adamw, muon, nadam, rmsprop, sgd
    learning_rate: float = 1e-3
    schedule: str = "constant"  # or "cosine": down to 1 % at max_steps
    warmup_steps: int = 0  # steps over which the rate rises from 0
    clip_norm: float = 0.0  # global norm of the gradient; 0: not clipped
    ema_decay: float = 0.0  # moving average of weights, used beyond training; 0: none
    patience: int = 10  # validations without a better one before it stops; 0: never
    validate_every: int = 0  # steps between validations; 0: once an epoch
    max_valid_pieces: int = 64  # 0: all of the validation split
    min_transpose: int = -6  # semitones, drawn anew for every window
    max_transpose: int = 5
    shuffle_windows: int = 2048  # windows in the shuffle buffer
    skip_corrupt: bool = False  # leave damaged records out, and say how many
    checkpoint_minutes: float = 5.0
    preview_bars: int = 0  # composed at each validation, for TensorBoard; 0: none
    init_from: str = ""  # directory of a model whose weights it starts from
    precision: str = "float32"  # or mixed_bfloat16
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self):
        settings.check(self, _CHOICES, _RANGES)
        if self.min_transpose > self.max_transpose:
            raise InputError(
                f"min_transpose must not exceed max_transpose, got "
                f"{self.min_transpose} > {self.max_transpose}."
            )
        if self.schedule == "cosine" and not self.max_steps:
            raise InputError("schedule=cosine needs max_steps, the length of the run.")
        if self.schedule == "cosine" and self.warmup_steps >= self.max_steps:
            raise InputError(
                f"warmup_steps must be below max_steps with schedule=cosine, got "
                f"{self.warmup_steps} and {self.max_steps}."
            )


_JOHNSON = ModelConfig(
    preset="biaxial",
    volume=False,
    style_units=0,
    note_features="window",
    class_counts="relative",
    num_time_units=200,
    num_pitch_units=100,
)
_DEEPJ = ModelConfig(preset="deepj", input_dropout=0.2)
# The best of these presets (docs/ABLATION.md, docs/likelihood), with DeepJ's channels
# and style. Johnson's window and relative counts cost no product of their own and
# commute with transposition, which DeepJ's pitch class one-hot does not; they tell of
# the previous frame and, as in his NADE, of the notes already chosen, which an LSTM
# along pitch would have to learn to count.
# PopH's attention along pitch, before the time axis, adds to them. Attention by frames
# commutes with transposition too, and recalls phrases at a 1/pitches of the cost of
# attention per pitch, which learns less. Small layers with little dropout learn corpora
# of a few hundred pieces better than the published sizes. No harmony term: it pulls
# away from the data's own distribution (harmony_weight=1 brings it).
_POPH2 = ModelConfig(
    preset="poph2",
    note_features="window",
    class_counts="relative",
    chosen_notes="window",
    pitch_attention="before_time",
    time_attention="frames",
    head_units=32,
    num_time_units=128,
    num_pitch_units=64,
    dropout=0.3,
)

PRESETS = {
    "tp_lstm_nade": dataclasses.replace(
        _JOHNSON, preset="tp_lstm_nade", replay=False, pitch_model="nade"
    ),
    "biaxial": _JOHNSON,
    "deepj": _DEEPJ,
    "poph": dataclasses.replace(
        _DEEPJ, preset="poph", pitch_attention="before_time", harmony_weight=1.0
    ),
    "poph2": _POPH2,
}


def preset(name, **overrides):
    """Returns the `ModelConfig` of a preset, with fields replaced.

    Raises:
        InputError: If there is no such preset or field, or a value is impossible.
    """
    if name not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}.")
    settings.check_keys(ModelConfig, overrides)
    return dataclasses.replace(PRESETS[name], **overrides)


def with_styles(config, info, known=()):
    """Gives a model the styles of a data set and their shares of its training steps.

    Args:
        config: ModelConfig.
        info: DatasetInfo.
        known: sequence of str. Styles to keep that the model knows already.
    """
    if not config.style_units or len(info.styles) < 1:
        return config
    steps = info.splits["train"].steps_by_style
    styles = (*known, *(style for style in info.styles if style not in known))
    counts = [steps.get(style, 0) for style in styles]
    total = sum(counts) or 1
    return dataclasses.replace(
        config,
        styles=styles,
        style_shares=tuple(count / total for count in counts),
    )
