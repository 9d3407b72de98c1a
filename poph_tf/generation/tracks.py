"""Draws one step track by track, in the order of the model's tracks.

A track reads the notes already known in the step: those of the tracks before it, and of
all given tracks. A track with chords is drawn pitch by pitch (`chords.py`); a voice
draws one pitch or its rest from one number, by inverse transform sampling over the
pitches, low to high, then the rest. If the pitch was already sounding, a second number
decides whether it is struck again.

The temperature of a voice applies to the choice among pitches to move to. Whether the
voice rests, holds its pitch or strikes it again is its rhythm, which has its own
temperature (`replay_temperature`, 1 unless set). With both at 1 this is the softmax of
the network. With a single low temperature, a rest of probability 0.2 would win over ten
pitches of 0.08 each, and a held pitch over all others: voices would fall silent or
stand still.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from poph_tf.config.tracks import Track
from poph_tf.generation import chords, randomness
from poph_tf.generation.chords import MIN_TEMPERATURE, Heads
from poph_tf.generation.controls import Controls
from poph_tf.models import losses
from poph_tf.models.pitch_decoder import PitchDecoder
from poph_tf.models.track_network import TrackNetwork

# The logit that excludes the held pitch from those to move to.
NOT_AGAIN = -1e9
# A voice that has rested for a bar is surer of its rest than a track with chords of its
# silence: in `chorales` the odds are about 12 logits.
SURE_OF_RESTS = 8.0


class TrackDrawing:
    """Draws one step of a model with tracks.

    Args:
        network: the network of the model.
        hidden: float [batch, pitch, features], from the time axis.
        state: the sampler's state before the step.
        controls: the controls of this step.
    """

    def __init__(
        self,
        network: TrackNetwork,
        hidden: tf.Tensor,
        state: Mapping[str, Any],
        controls: Controls,
    ) -> None:
        self.network, self.tracks = network, network.config.tracks
        self.entries = network.enter_tracks(hidden[None])
        self.embedding = network.embed_style(controls.style)
        self.before, self.step = state["frame"], state["step"]
        self.given_before = state["given"]
        self.controls = controls
        self.given = given_tracks(self.before, controls.constraints)
        self.ranges = network.voice_ranges
        self.density = None
        if controls.density is not None:
            self.density = state["density_bias"][:, None]

    def draw(
        self, bias: tf.Tensor | None, scored: bool
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Draws the tracks in their order.

        Args:
            bias: float32 [batch, pitch or 1], added to the logits of the pitches.
            scored: whether to compute log-probabilities.

        Returns:
            float32 [batch, track, pitch, channel], and the log-probability float32
            [batch, track] of what is not given if `scored`, or None.
        """
        frame = _given_cells(self.before, self.controls.constraints)
        if self.ranges:
            self.in_range = self.ranges.share_of(frame[..., 0])
        notes = self._notes(frame, slice(None))
        frames, scores = tf.unstack(frame, axis=1), []
        for k in range(len(self.tracks)):
            known = {
                "current": tf.stack(frames, axis=1)[:, None],
                "previous": self.before[:, None],
                "given": self.given[:, None],
            }
            x = self.network.join_context(k, self.entries[k], notes, known)
            frames[k], score = self._draw_track(k, x[0], bias, scored)
            scores.append(score)
            own = self._notes(frames[k][:, None], slice(k, k + 1))
            notes = tf.concat([notes[..., :k, :], own, notes[..., k + 1 :, :]], axis=3)
        score = tf.stack(scores, axis=1) * (1.0 - self.given) if scored else None
        return tf.stack(frames, axis=1), score

    def _notes(self, frame: tf.Tensor, tracks: slice) -> tf.Tensor:
        """Features of known notes, [batch, 1, pitch, track, features].

        Which notes count as struck depends on the previous step, so both are read.
        """
        before = self.before[:, tracks]
        inputs = {
            "current": tf.stack([before, frame], axis=1),
            "previous": tf.stack([tf.zeros_like(before), before], axis=1),
            "given": tf.stack(
                [self.given_before[:, tracks], self.given[:, tracks]], axis=1
            ),
        }
        return self.network.notes(self.network.known_notes(inputs)[:, 1:])

    def _draw_track(
        self, track: int, x: tf.Tensor, bias: tf.Tensor | None, scored: bool
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Cells [batch, pitch, channel] of one track, and their score or None."""
        voice, before = self.tracks[track].voice, self.before[:, track]
        controls, clamped = self.controls, self.controls.constraints
        if clamped is not None:
            controls = controls._replace(constraints=clamped[:, track])
        num_pitches = 1 if voice else self.network.config.num_pitches
        numbers = randomness.of_step(controls, self.step, num_pitches, track)
        if voice:
            heads = self.network.voice_heads(x)
            if self.ranges:
                in_range = self.ranges.bias(track, self.in_range)
                bias = in_range if bias is None else bias + in_range
            biases = (bias, self.density)
            cells = draw_voice(heads, before, numbers[:, 0], controls, *biases)
            return cells, voice_log_probability(heads, before, cells)
        decoder = PitchDecoder(self.network, x, self.embedding)
        cells, score = chords.draw(decoder, before, numbers, controls, bias, scored)
        return cells, None if score is None else tf.reduce_sum(score, axis=1)


def given_tracks(before: tf.Tensor, clamped: tf.Tensor | None) -> tf.Tensor:
    """Which tracks of a step are given, float32 [batch, track].

    Args:
        before: float32 [batch, track, pitch, channel].
        clamped: constraints of the step, as in `Controls`, or None.
    """
    return tf.zeros_like(before[:, :, 0, 0]) if clamped is None else clamped[:, :, 0, 0]


def _given_cells(before: tf.Tensor, clamped: tf.Tensor | None) -> tf.Tensor:
    """The cells of given tracks, zeros in the others, in the shape of `before`."""
    if clamped is None:
        return tf.zeros_like(before)
    given, *notes = tf.unstack(clamped, axis=-1)
    return given[..., None] * chords.to_cell(notes, before)


def draw_voice(
    heads: Heads,
    before: tf.Tensor,
    numbers: tf.Tensor,
    controls: Controls,
    bias: tf.Tensor | None = None,
    density: tf.Tensor | None = None,
) -> tf.Tensor:
    """Draws one pitch or the rest of a voice.

    Args:
        heads: float32 [batch, pitch] each: `play` (logits against the rest), `replay`
            (logits), `volume`.
        before: float32 [batch, pitch, channel], the voice in the previous step.
        numbers: float32 [batch, 2] in [0, 1).
        controls: the controls of this step; `constraints` are those of the voice.
        bias: float32 [batch, pitch or 1], added to the logits of the pitches.
        density: float32 [batch, 1], added to the logit of sounding.

    Returns:
        float32 [batch, pitch, channel].
    """
    probability = voice_probability(
        heads["play"], before[..., 0], controls, bias, density
    )
    place = randomness.choose(probability, numbers[:, 0])
    play = tf.one_hot(place, probability.shape[1])[:, :-1]
    again = tf.zeros_like(play)
    if "replay" in heads:
        logit = tf.reduce_sum(play * heads["replay"], axis=1) / _rhythm(controls)
        again = play * tf.cast(numbers[:, 1] < tf.sigmoid(logit), tf.float32)[:, None]
    drawn = play, again, chords.onset_volume(heads)
    return chords.to_cell(drawn, before, controls.constraints)


def voice_probability(
    logits: tf.Tensor,
    held: tf.Tensor,
    controls: Controls,
    bias: tf.Tensor | None = None,
    density: tf.Tensor | None = None,
) -> tf.Tensor:
    """The probability of each pitch of a voice, then of its rest.

    Args:
        logits: float32 [batch, pitch], against the rest.
        held: float32 [batch, pitch], 1 at the pitch of the previous step, if any.
        controls: the controls of this step.
        bias: float32 [batch, pitch or 1]. Moves pitches among each other, not the rest.
        density: float32 [batch, 1]. Moves all pitches against the rest.

    Returns:
        float32 [batch, pitch + 1]; adds up to 1, or to at least `top_p`.
    """
    temperature = tf.maximum(controls.temperature, MIN_TEMPERATURE)[:, None]
    rhythm = _rhythm(controls)[:, None]
    sounding = tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    sounding = (sounding if density is None else sounding + density) / rhythm
    biased = logits if bias is None else logits + bias
    others = tf.where(held > 0, NOT_AGAIN, biased)
    stay = tf.reduce_sum(held * biased, axis=1, keepdims=True)
    stay -= tf.reduce_logsumexp(others, axis=1, keepdims=True)
    stays = tf.sigmoid(stay / rhythm) * tf.reduce_max(held, axis=1, keepdims=True)
    pitches = held * stays + (1.0 - stays) * tf.nn.softmax(others / temperature)
    parts = [tf.sigmoid(sounding) * pitches, tf.sigmoid(-sounding)]
    probability = tf.concat(parts, axis=1)
    if controls.top_p is None:
        return probability
    return tf.where(_in_nucleus(probability, controls.top_p), probability, 0.0)


def warmed(
    controls: Controls, added: tf.Tensor, model_tracks: Sequence[Track]
) -> Controls:
    """Controls with a higher temperature, to end a silence.

    For voices it is the temperature of their rhythm, which decides on rests; the choice
    of their first notes does not change.

    Args:
        controls: the controls of this step.
        added: float32 [batch], added to the temperature.
        model_tracks: those of the model; empty: one track with chords.
    """
    voices = [track.voice for track in model_tracks]
    if not all(voices) or not voices:
        controls = controls._replace(temperature=controls.temperature + added)
    if any(voices):
        given = controls.replay_temperature
        unset = tf.zeros_like(added) if given is None else given
        warmth = _rhythm(controls) + SURE_OF_RESTS * added
        rhythm = tf.where(added > 0, warmth, unset)
        controls = controls._replace(replay_temperature=rhythm)
    return controls


def _rhythm(controls: Controls) -> tf.Tensor:
    """The temperature of rests, held and repeated notes of a voice, [batch]."""
    return chords.replay_temperature(controls, tf.ones_like(controls.temperature))


def _in_nucleus(probability: tf.Tensor, top_p: tf.Tensor) -> tf.Tensor:
    """The likeliest values whose mass reaches `top_p`, bool [batch, value].

    Reference:
        Holtzman et al., The Curious Case of Neural Text Degeneration (2020),
        arXiv:1904.09751, nucleus sampling.
    """
    ordered = tf.sort(probability, axis=1, direction="DESCENDING")
    before = tf.cumsum(ordered, axis=1, exclusive=True)
    kept = tf.where(before < top_p[:, None], ordered, 2.0)
    return probability >= tf.reduce_min(kept, axis=1, keepdims=True)


def voice_log_probability(
    heads: Heads, before: tf.Tensor, cells: tf.Tensor
) -> tf.Tensor:
    """The log-probability of a voice's step under the model itself, without controls.

    Args:
        heads: as in `draw_voice`.
        before: float32 [batch, pitch, channel], the voice in the previous step.
        cells: float32 [batch, pitch, channel].

    Returns:
        float32 [batch], at most 0.
    """
    play = cells[..., 0]
    score = -losses.voice_nats(play, heads["play"])
    if "replay" in heads:
        possible = losses.replay_possible(play, before[..., 0])
        score -= losses.replay_nats(possible, cells[..., 1], heads["replay"])
    return score
