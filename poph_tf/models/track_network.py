"""The network of a model with tracks: voices, chords, given notes and an ending.

    previous, bars, given notes from here on   -> time_axis -> hidden
    hidden, the other tracks' known notes      -> track by track -> outputs

Within a step, tracks are drawn in order. A voice has one softmax over pitches and rest
(the rest's logit is 0); a track with chords runs along pitch. All pitches share all
weights.
"""

from typing import Any

import keras
from keras import ops
from tensorflow import Tensor

from poph_tf.config import ModelConfig
from poph_tf.models import layers
from poph_tf.models.layers.chord_progression import ChordProgression
from poph_tf.models.layers.voice_ranges import VoiceRanges
from poph_tf.models.network import (
    Inputs,
    Network,
    Outputs,
    State,
    of_steps,
)
from poph_tf.theory import CHORD_KINDS, STEPS_OF_BEAT

# The key's table depends on the bars left (the last ones one by one) and the beat.
LAST_BARS, BEATS = 3, 4
NUM_PLACES = (LAST_BARS + 1) * BEATS


class TrackNetwork(Network):
    """The layers of a model with tracks, and their wiring.

    Frames are `[batch, time, track, pitch, 3]`. Inputs besides those of `Network`:
    `given` float [batch, time, track], 1 where the user gives the notes of `current`;
    `bars_left` int32 [batch, time]; `chord` int32 [batch, time], that of the beat as
    `data.beat_chords` finds it, -1 unknown; `returns` int32 [batch, time], how many
    steps back the bar lies that this one returns to, see `layers.ReturningBar`;
    `looks_ahead` float [batch], 0 if a step may only read what is given up to it.
    Instead of this one, `later` float [time, batch, pitch, units] may hold what
    `look_ahead` returned for these steps. `key_strength`, `chord_strength` and
    `form_strength` float [batch] multiply what key, chords and form add; above 1 they
    count more than in training.

    Args:
        config: The settings of the model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.struck = layers.StruckNotes(name="struck_notes")
        self.notes = layers.TrackNotes(config.window_width, name="track_notes")
        self.side_by_side = layers.SideBySide(name="side_by_side")
        self.ahead: Any = None
        if config.look_ahead_units:
            self.ahead = layers.LookAhead(
                config.look_ahead_units, name="look_ahead_lstm"
            )

    def _make_pitch_axis(self) -> None:
        config, units = self.config, self.config.num_track_units
        super()._make_pitch_axis()
        if all(track.voice for track in config.tracks):
            self.pitch_layers = []
        self.track_entry = keras.layers.Dense(
            units * self.num_tracks, name="track_entry"
        )
        self._make_harmony()
        self.returning = None
        if config.form:
            self.returning = layers.ReturningBar(
                units * self.num_tracks, self.num_tracks, name="returning_bar"
            )
        self.track_contexts = [
            layers.TrackContext(units, k, name=f"track_context_{k}")
            for k in range(self.num_tracks)
            if self.num_tracks > 1
        ]
        self.voice_leading: list[Any] = [
            layers.VoiceLeading(
                units, k, others, self._strengths(k), name=f"voice_leading_{k}"
            )
            if config.voice_leading and track.voice and (others := self._voices(k))
            else None
            for k, track in enumerate(config.tracks)
        ]
        self.track_dropout = layers.Dropout(config.dropout, name="track_dropout")
        self.voice_layer = keras.layers.Dense(units, activation="gelu", name="voice")

    def _make_harmony(self) -> None:
        """Makes the layers that condition each pitch on key and chords."""
        config, units = self.config, self.config.num_track_units * self.num_tracks
        pitches = units, config.min_pitch, config.num_pitches
        self.degrees = None
        if config.key:
            self.degrees = layers.ScaleDegrees(
                *pitches, NUM_PLACES, name="scale_degrees"
            )
        self.chord_tones: Any = None
        self.chord_progression: Any = None
        self.voice_ranges: Any = None
        if config.chords:
            self.voice_ranges = VoiceRanges(
                self.num_tracks, config.num_pitches, name="voice_ranges"
            )
            self.voice_ranges.build()
            self.chord_progression = ChordProgression(
                NUM_PLACES, name="chord_progression"
            )
            self.chord_progression.build()
            self.chord_tones = layers.ScaleDegrees(
                *pitches, STEPS_OF_BEAT, len(CHORD_KINDS), name="chord_tones"
            )

    def _voices(self, track: int) -> list[int]:
        """The indices of the other voices."""
        tracks = enumerate(self.config.tracks)
        return [j for j, other in tracks if other.voice and j != track]

    def _strengths(self, track: int) -> list[float]:
        """Weight of voice leading towards each other voice."""
        first, *_, last = self._voices(-1)
        return [
            self.config.outer_voices if {track, j} == {first, last} else 1.0
            for j in self._voices(track)
        ]

    # Time.

    def time_axis(
        self, inputs: Inputs, state: State | None = None, training: bool | None = None
    ) -> tuple[Tensor, State]:
        """As in `Network`, but returns the inputs of the tracks, side by side.

        They include what key, chords and form contribute to each pitch.
        """
        hidden, after = super().time_axis(inputs, state, training)
        entries, told = self.track_entry(hidden), []
        if self.degrees:
            strength = inputs.get("key_strength")
            told.append(self.degrees(*self._key_and_place(inputs), strength))
        if self.chord_tones:
            chord = of_steps(inputs, "chord")
            place = inputs["bar_position"] % STEPS_OF_BEAT
            strength = inputs.get("chord_strength")
            told.append(self.chord_tones(chord, place, strength))
        if self.returning:
            previous = self._select_channels(inputs["previous"])
            returns = of_steps(inputs, "returns")
            read = previous, returns, inputs.get("form_strength")
            told.append(
                self.returning(*read)
                if state is None
                else self.returning.scan(*read, state["frames"])
            )
        if told:
            entries += _sum([ops.cast(x, entries.dtype) for x in told])
        return entries, after

    def _key_and_place(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The key and its place, see `place_of`, each int32 [batch, time]."""
        read = inputs if self.config.bars_left else {**inputs, "bars_left": None}
        left = of_steps(read, "bars_left")
        place = place_of(left, inputs["bar_position"])
        return of_steps(inputs, "key"), place

    def _time_major(self, frames: Tensor) -> Tensor:
        return self.side_by_side(frames)

    def _features(
        self, previous: Tensor, inputs: Inputs, training: bool | None
    ) -> Tensor:
        x = super()._features(previous, inputs, training)
        if not self.ahead:
            return x
        later = inputs.get("later")
        if later is None:
            later = self.look_ahead(inputs, training)
        return ops.concatenate([x, later], axis=-1)

    def look_ahead(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Reads the given notes of a whole piece, once before its first step.

        Args:
            inputs: `current` and `previous`, whose notes are read where they are
                given, `given`, `looks_ahead` (1 if left out), and `bar_position` and
                `bars_left` if the model has them.
            training: Whether to apply dropout.

        Returns:
            float [time, batch, pitch, units]; zeros where nothing is given later.
        """
        given = _given(inputs)
        if inputs.get("looks_ahead") is not None:
            given = given * inputs["looks_ahead"][:, None, None]
        bar = self._bar_features(inputs, training)
        bar = None if bar is None else ops.transpose(bar, (1, 0, 2))
        return self.ahead(self.notes(self.known_notes(inputs)), given, bar)

    def zero_look_ahead(self, batch_size: int) -> State:
        """Returns the initial state of `look_ahead_step`, after the last step."""
        return self.ahead.zero_state(batch_size * self.config.num_pitches, batch_size)

    def look_ahead_step(
        self, cells: Tensor, bar_position: Tensor, bars_left: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Computes `look_ahead` step by step, from the last step to the first.

        Args:
            cells: float [batch, 2, track, pitch, 4], the step before and this one:
                given, then the channels of the given notes.
            bar_position: int32 [batch, 1].
            bars_left: int32 [batch, 1].
            state: As from `zero_look_ahead`.

        Returns:
            float [batch, pitch, units], and the state for the step before.
        """
        frames, given = cells[..., 1:], cells[:, :, :, 0, 0]
        before = ops.concatenate([ops.zeros_like(frames[:, :1]), frames[:, :1]], axis=1)
        notes = self.known_notes(
            {"current": frames, "previous": before, "given": given}
        )
        bar = self._bar_features(
            {"bar_position": bar_position, "bars_left": bars_left}, False
        )
        bar = None if bar is None else ops.transpose(bar, (1, 0, 2))
        out, state = self.ahead.step(self.notes(notes[:, 1:]), given[:, 1:], bar, state)
        return out[0], state

    def known_notes(self, inputs: Inputs) -> Tensor:
        """Play and struck of `current`, float [batch, time, track, pitch, 2].

        See `layers.look_ahead.struck_notes`.
        """
        current, previous = (
            self._select_channels(inputs[name]) for name in ("current", "previous")
        )
        return self.struck(current, previous, _given(inputs))

    def _attend_over_time(
        self, x: Tensor, previous: Tensor, before: State, after: State
    ) -> Tensor:
        """Also joins the previous frame itself, so that a track reads it unblurred."""
        x = super()._attend_over_time(x, previous, before, after)
        return ops.concatenate([x, self.features(previous)], axis=-1)

    # Tracks: one after the other within a step.

    def pitch_axis(
        self, hidden: Tensor, inputs: Inputs, training: bool | None = None
    ) -> Outputs:
        """Runs the tracks on known frames.

        Args:
            hidden: float [time, batch, pitch, features], from `time_axis`.
            inputs: `current`, `previous`, `given` and, if the model has it, `style`.
            training: Whether to apply dropout.

        Returns:
            float32 [batch, time, track, pitch] by name: `play`, `replay` (logits),
            `volume`.
        """
        notes = self.notes(self.known_notes(inputs))
        entries = self.enter_tracks(hidden)
        found = [
            self._run_track(k, entries[k], notes, inputs, training)
            for k in range(self.num_tracks)
        ]
        return {n: ops.stack([o[n] for o in found], axis=2) for n in self.output_names}

    def enter_tracks(self, hidden: Tensor) -> list[Tensor]:
        """The part of each track's input that does not depend on the step's notes."""
        return ops.split(hidden, self.num_tracks, axis=-1)

    def join_context(
        self,
        track: int,
        entry: Tensor,
        notes: Tensor,
        inputs: Inputs,
        training: bool | None = None,
    ) -> Tensor:
        """Adds what a track sees of the other tracks in the same step.

        Args:
            track: Its index.
            entry: Its part of `enter_tracks`, float [time, batch, pitch, units].
            notes: Features of the notes of this step, from `notes`; only those drawn
                before or given are read.
            inputs: `current`, of which the same notes are read, `previous`, `given`.
            training: Whether to apply dropout.

        Returns:
            float [time, batch, pitch, units].
        """
        given = _given(inputs)
        seen = []
        if self.track_contexts:
            seen.append(self.track_contexts[track](notes, given))
        if self.voice_leading[track]:
            play, before = (inputs[k][..., 0] for k in ("current", "previous"))
            seen.append(self.voice_leading[track](play, before, given))
        if seen:
            entry = entry + _sum(seen)
        return self.track_dropout(ops.gelu(entry), training=training)

    def _run_track(
        self,
        track: int,
        entry: Tensor,
        notes: Tensor,
        inputs: Inputs,
        training: bool | None,
    ) -> Outputs:
        x = self.join_context(track, entry, notes, inputs, training)
        if self.config.tracks[track].voice:
            heads = self.voice_heads(x, training)
            return {k: ops.transpose(v, (1, 0, 2)) for k, v in heads.items()}
        own = {**inputs, "current": inputs["current"][:, :, track]}
        return super().pitch_axis(x, own, training)

    def voice_heads(self, x: Tensor, training: bool | None = None) -> Outputs:
        """Scores the pitches of a voice against rest, whose logit is 0.

        Args:
            x: float [..., pitch, units], from `join_context`.
            training: Whether to apply dropout.

        Returns:
            float32 [..., pitch] by name.
        """
        x = x + self.track_dropout(self.voice_layer(x), training=training)
        return self.split_heads(self.heads(x))


def _sum(parts: list[Tensor]) -> Tensor:
    return sum(parts[1:], parts[0])


def place_of(bars_left: Any, bar_position: Any) -> Any:
    """The place of a step in its piece and its bar, below `NUM_PLACES`.

    Args:
        bars_left: int32 [...]; unknown counts as many.
        bar_position: int32 [...].
    """
    few = (bars_left >= 0) & (bars_left <= LAST_BARS)
    left = ops.where(few, bars_left, LAST_BARS)
    return left * BEATS + ops.clip(bar_position // STEPS_OF_BEAT, 0, BEATS - 1)


def _given(inputs: Inputs) -> Tensor:
    """The input `given`, float [batch, time, track]; zeros if it is left out."""
    given = inputs.get("given")
    return ops.zeros_like(inputs["previous"][..., 0, 0]) if given is None else given
