"""The settings of a network, stage by stage; stored beside its weights.

The published models and ours are in `models/presets.py`.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from poph_tf.config.declaration import Floats, Stored, Texts, settings
from poph_tf.config.tracks import Tracks
from poph_tf.errors import InputError

if TYPE_CHECKING:
    from poph_tf.data.examples import DatasetInfo

# The vocabulary of a model without styles: `style` is the vector [1].
SINGLE_STYLE = ("any",)
_Rate = Annotated[float, Interval(ge=0.0, le=0.95)]


@settings
class ModelConfig(Stored):
    """The settings of a network, in the order of its stages.

    Example:
        >>> ModelConfig(min_pitch=36, num_pitches=48).max_pitch
        83
        >>> ModelConfig(num_heads=0)
        Traceback (most recent call last):
        poph_tf.errors.InputError: num_heads must be a whole number from 1 to 64, got 0.
    """

    preset: str = "poph"
    """The preset that these settings started from (see `models/presets.py`)."""

    # The roll that the model sees and draws.
    tracks: Tracks = ()
    """Instruments and voices with a roll each, in the order in which they are drawn
    within a step; none: one roll for all."""
    min_pitch: Annotated[int, Interval(ge=0, le=127)] = 36
    """MIDI number of the lowest pitch."""
    num_pitches: Annotated[int, Interval(ge=1, le=128)] = 48
    """Number of pitches, from min_pitch up."""
    replay: bool = True
    """Predict repeated notes."""
    volume: bool = True
    """Predict dynamics."""
    bar_positions: Annotated[int, Interval(ge=0, le=256)] = 16
    """Size of the one-hot bar position; 0: the bar position is not an input."""
    bars_left: bool = False
    """Condition on the number of bars left, so that a piece can come to an end."""
    key: bool = False
    """Condition on the key of the piece, so that it can keep to it and return to it;
    only for models with tracks."""
    chords: bool = False
    """Draw the chord of each beat before its notes and condition on it, and keep voices
    in the ranges of the training music; only for models that read the key and have
    tracks, at least one of them a voice."""
    form: bool = False
    """Condition on the earlier bar that each bar returns to, so that pieces can have a
    form; only for models with tracks and time_attention=frames."""
    style_units: Annotated[int, Interval(ge=0, le=4096)] = 64
    """Width of the style embedding; 0: style is not an input."""
    styles: Texts = SINGLE_STYLE
    """The style vocabulary, in the order of the input `style`."""
    style_shares: Floats = (1.0,)
    """Each style's share of the training steps."""

    # 1. Note features.
    note_features: Literal["convolution", "window"] = "convolution"
    """convolution: DeepJ's octave convolution; window: Johnson's window over the
    neighbouring pitches."""
    octave_filters: Annotated[int, Interval(ge=1, le=4096)] = 64
    """Filters of the octave convolution."""
    octave_width: Annotated[int, Interval(ge=1, le=128)] = 24
    """Width of the octave convolution in semitones."""
    window_width: Annotated[int, Interval(ge=1, le=127)] = 25
    """Width of the window in semitones; it is centred, so it must be odd."""
    class_counts: Literal["own", "relative"] = "own"
    """Which notes to count for each pitch. own: those of its pitch class; relative:
    those of all 12 classes, relative to it."""

    # 2. Self-attention.
    pitch_attention: Literal[
        "none", "before_time", "without_tracks", "after_pitch", "in_place_of_pitch"
    ] = "none"
    """Where self-attention along pitch is placed; without_tracks: before the time axis
    in a model without tracks, nowhere in a model with tracks."""
    time_attention: Literal["none", "per_pitch", "frames"] = "none"
    """Causal self-attention along time. per_pitch: at each pitch by itself; frames:
    over whole frames."""
    time_attention_steps: Annotated[int, Interval(ge=1, le=65536)] = 128
    """Number of steps that attention along time looks back."""
    num_heads: Annotated[int, Interval(ge=1, le=64)] = 4
    """Number of attention heads."""
    head_units: Annotated[int, Interval(ge=1, le=1024)] = 64
    """Units of each attention head."""

    # 3. and 4. The two axes.
    num_time_layers: Annotated[int, Interval(ge=1, le=16)] = 2
    """Number of LSTM layers along time."""
    num_time_units: Annotated[int, Interval(ge=1, le=8192)] = 256
    """Units of each LSTM along time."""
    pitch_model: Literal["lstm", "nade"] = "lstm"
    """The model along pitch within a step."""
    num_pitch_layers: Annotated[int, Interval(ge=1, le=16)] = 2
    """Number of LSTM layers along pitch."""
    num_pitch_units: Annotated[int, Interval(ge=1, le=8192)] = 128
    """Units of each LSTM (or of the NADE) along pitch."""
    pitch_context: Literal["note", "window"] = "note"
    """What an LSTM along pitch reads of the notes drawn so far in the step. note: the
    previous note; window: the window over all of them and their class counts."""
    pitch_order: Literal["ascending", "descending"] = "ascending"
    """The order in which pitches are drawn."""

    # Tracks: only for models that have them.
    look_ahead_units: Annotated[int, Interval(ge=0, le=4096)] = 64
    """Units of the LSTM that runs backwards over the given notes; 0: none."""
    num_track_units: Annotated[int, Interval(ge=1, le=4096)] = 64
    """Units of each track's layers within a step."""
    voice_leading: bool = False
    """Let a voice see how its interval to each other voice would change."""
    outer_voices: Annotated[float, Interval(ge=0.0, le=100.0)] = 1.0
    """Weight of the voice leading between the first and the last voice, relative to
    other pairs of voices."""

    # Sampling of chords; not inputs of the network. Voices are not affected.
    chord_temperature: Annotated[float, Interval(ge=0.01, le=100.0)] = 1.0
    """Factor of the temperature where notes are drawn pitch by pitch."""
    chord_min_probability: Annotated[float, Interval(ge=0.0, le=0.5)] = 0.0
    """Lower limit of min_probability where notes are drawn pitch by pitch."""

    # Losses and regularization.
    harmony_weight: Annotated[float, Interval(ge=0.0, le=1e6)] = 0.0
    """Weight (lambda) of the harmony loss; 0 leaves it out."""
    minor_scale: Literal["harmonic", "natural"] = "natural"
    """The minor scale of the harmony loss."""
    input_dropout: _Rate = 0.0
    """Dropout of the input frames."""
    dropout: _Rate = 0.5
    """Dropout of the outputs of the LSTMs and of attention."""
    recurrent_dropout: _Rate = 0.0
    """Dropout of the states of the LSTMs along time."""

    renamed = {"chosen_notes": "pitch_context"}

    def __post_init__(self) -> None:
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
        if self.tracks and (self.harmony_weight or self.pitch_model == "nade"):
            raise InputError(
                "A model with tracks needs harmony_weight=0 and pitch_model=lstm, as "
                f"in the preset poph3, got {self.harmony_weight} and "
                f"{self.pitch_model}."
            )
        kinds = {track.voice for track in self.tracks}
        if len(kinds) == 2 and self.num_track_units != self.num_pitch_units:
            raise InputError(
                "Voices and tracks with chords share their last layer, so "
                "num_track_units must equal num_pitch_units, got "
                f"{self.num_track_units} and {self.num_pitch_units}."
            )
        if self.pitch_model == "nade" and self.pitch_attention == "in_place_of_pitch":
            raise InputError(
                "pitch_attention=in_place_of_pitch replaces the pitch axis and needs "
                "pitch_model=lstm, got nade."
            )

    @property
    def max_pitch(self) -> int:
        """MIDI number of the highest pitch that the model sees."""
        return self.min_pitch + self.num_pitches - 1

    @property
    def pitches(self) -> slice:
        """The pitches that the model sees, of the 128 of MIDI."""
        return slice(self.min_pitch, self.max_pitch + 1)

    @property
    def attends_along_pitch_first(self) -> bool:
        """Whether self-attention along pitch stands before the time axis."""
        alone = self.pitch_attention == "without_tracks" and not self.tracks
        return alone or self.pitch_attention == "before_time"

    def style_number(self, name: str) -> int | None:
        """The place of a style in `styles`; None if the model does not have it.

        Capitals matter only if two styles differ in nothing else.
        """
        if name in self.styles:
            return self.styles.index(name)
        folded = [style.casefold() for style in self.styles]
        alike = folded.count(name.casefold()) == 1
        return folded.index(name.casefold()) if alike else None

    def with_data(
        self, info: "DatasetInfo", known: Sequence[str] = ()
    ) -> "ModelConfig":
        """Takes over the tracks of a data set, its styles and their shares of steps.

        Args:
            info: the data set's description.
            known: styles that the model already knows, which are kept.
        """
        tracks = self.tracks or tuple(info.tracks)
        if not self.style_units or not info.styles:
            return dataclasses.replace(self, tracks=tracks)
        steps = info.splits["train"].steps_by_style
        styles = (*known, *(style for style in info.styles if style not in known))
        counts = [steps.get(style, 0) for style in styles]
        total = sum(counts) or 1
        shares = tuple(count / total for count in counts)
        return dataclasses.replace(
            self, tracks=tracks, styles=styles, style_shares=shares
        )
