"""The tracks of one time step, one after the other, as the sampler needs them."""

from tensorflow import Tensor

from poph_tf.models.network import Outputs
from poph_tf.models.pitch_decoder import PitchDecoder
from poph_tf.models.track_network import TrackNetwork


class TrackDecoder:
    """The track axis of one time step.

    Args:
        network: The network.
        hidden: float [1, batch, pitch, features], from `time_axis` for one step.
        embedding: float [batch, style_units], or None.
    """

    def __init__(
        self, network: TrackNetwork, hidden: Tensor, embedding: Tensor | None
    ) -> None:
        self.network = network
        self.entries = network.enter_tracks(hidden)
        self.embedding = embedding

    def _features(self, track: int, notes: Tensor, given: Tensor) -> Tensor:
        features = self.network.notes(notes[:, None])
        entry = self.entries[track]
        return self.network.join_context(track, entry, features, given[:, None])[0]

    def voice(self, track: int, notes: Tensor, given: Tensor) -> Outputs:
        """Scores the pitches of a voice against rest, whose logit is 0.

        Args:
            track: Its place.
            notes: float [batch, track, pitch, 2], play and struck of the tracks drawn
                so far in this step and of those given; others are not read.
            given: float [batch, track], 1 where the notes are given.

        Returns:
            float [batch, pitch] by name (`play`, `replay` logits, `volume`).
        """
        return self.network.voice_heads(self._features(track, notes, given))

    def chords(self, track: int, notes: Tensor, given: Tensor) -> PitchDecoder:
        """The decoder of a track with chords; arguments as for `voice`."""
        x = self._features(track, notes, given)
        return PitchDecoder(self.network, x, self.embedding)
