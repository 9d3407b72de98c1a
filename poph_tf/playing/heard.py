"""What a person plays, on the grid of steps.

A note starts at the step nearest to its onset and lasts until the step nearest to its
end, at least one step, as in files (`data/matrices.py`).
"""

import dataclasses
import math

import numpy as np

from poph_tf import theory
from poph_tf.config import ModelConfig
from poph_tf.config import tracks as tracks_lib
from poph_tf.generation.track_tasks import MELODY


@dataclasses.dataclass
class Note:
    """A note that was played.

    Attributes:
        pitch: a pitch of the model.
        velocity: 1..127.
        start: first step.
        end: step after the last; infinite while the key is down.
        key: MIDI pitch of the key.
        track: track of the model; None: not decided yet.
    """

    pitch: int
    velocity: int
    start: int
    end: float
    key: int
    track: int | None = None


class Heard:
    """Collects played notes and returns what sounds in a step.

    In models of voices, simultaneous notes go to several voices, from high to low. A
    single note goes to one track, and so do all notes in other models.

    Args:
        model: configuration of the model.
        track: name of the track of single notes; empty: the melody, or the first.
        spread: whether simultaneous notes may go to several voices.
        legato: steps that a note of a voice is held after its end, unless another
            follows, so that short notes do not count as rests.

    Attributes:
        single: the track of single notes.
        played: tracks played so far, at least `single`; callers may reset it.
    """

    def __init__(
        self, model: ModelConfig, track: str, *, spread: bool, legato: int
    ) -> None:
        self._model, self._num_tracks = model, max(len(model.tracks), 1)
        names = [one.name for one in model.tracks]
        self.single = names.index(MELODY) if MELODY in names else 0
        if track:
            self.single = tracks_lib.named(model.tracks, track)
        voices = bool(names) and all(one.voice for one in model.tracks)
        self._spread, self._legato = spread and voices, legato
        self.played = {self.single}
        self._notes: list[Note] = []

    def press(self, key: int, velocity: int, position: float) -> None:
        """A key goes down at a position (a fractional step)."""
        self.release(key, position)
        start = math.floor(position + 0.5)
        # If a key is struck twice in one step, the last note counts.
        self._notes = [n for n in self._notes if (n.key, n.start) != (key, start)]
        pitch = self._within_range(key)
        self._notes.append(Note(pitch, velocity, start, math.inf, key))

    def release(self, key: int, position: float) -> None:
        """A key goes up."""
        end = math.floor(position + 0.5)
        for note in self._notes:
            if note.key == key and note.end == math.inf:
                note.end = max(end, note.start + 1)

    def release_all(self, position: float) -> None:
        """All keys go up."""
        for key in {note.key for note in self._notes}:
            self.release(key, position)

    def clamped(self, step: int) -> np.ndarray:
        """What sounds in a step, as clamped cells.

        Args:
            step: at or after those of earlier calls.

        Returns:
            float32 [track, pitch, 4] as in `constraints.py`; the cells of all tracks
            are marked as clamped.
        """
        past = step - 1 - self._legato
        self._notes = [note for note in self._notes if note.end > past]
        down = [note for note in self._notes if note.start <= step < note.end]
        self._choose_tracks(down)
        rings = [note for note in self._notes if self._rings(note, step)]
        model = self._model
        cells = np.zeros((self._num_tracks, model.num_pitches, 4), np.float32)
        cells[..., 0] = 1.0
        for note in self._one_a_voice(rings + down, step):
            onset = note.start == step
            place = cells[note.track, note.pitch - model.min_pitch]
            place[1:] = (1.0, max(place[2], onset), note.velocity / 127.0)
        return cells

    def _rings(self, note: Note, step: int) -> bool:
        tracks, place = self._model.tracks, note.track
        if not tracks or place is None or not tracks[place].voice:
            return False
        return note.end <= step < note.end + self._legato

    def _choose_tracks(self, sounding: list[Note]) -> None:
        """Assigns tracks to new notes; held notes keep theirs."""
        several = self._spread and len(sounding) > 1
        high_to_low = sorted(sounding, key=lambda note: -note.pitch)
        last = self._num_tracks - 1
        for place, note in enumerate(high_to_low):
            if note.track is not None:
                continue
            if not several:
                note.track = self.single
                continue
            # With more notes than voices, `_one_a_voice` decides.
            taken = {other.track for other in sounding}
            free = [k for k in range(last + 1) if k not in taken]
            wanted = round(place * last / (len(high_to_low) - 1))
            note.track = min(free or [wanted], key=lambda k: abs(k - wanted))
            self.played.add(note.track)

    def _one_a_voice(self, sounding: list[Note], step: int) -> list[Note]:
        """Leaves at most one note per voice.

        A voice keeps the newest: in legato, a key goes up after the next goes down.
        """
        if not self._model.tracks:
            return sounding
        kept: dict[tuple[int, int], Note] = {}
        newest_last = sorted(sounding, key=lambda n: (n.end > step, n.start, n.pitch))
        for note in newest_last:
            track = note.track or 0
            voice = self._model.tracks[track].voice
            kept[track, 0 if voice else note.pitch] = note
        return [*kept.values()]

    def _within_range(self, pitch: int) -> int:
        octave = theory.NUM_PITCH_CLASSES
        while pitch < self._model.min_pitch:
            pitch += octave
        while pitch > self._model.max_pitch:
            pitch -= octave
        return max(pitch, self._model.min_pitch)
