"""Converts frames to MIDI messages, and tracks sounding notes so that none hangs.

A message is a tuple of its bytes, such as (0x90, 60, 80).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from poph_tf.config import LiveConfig, ModelConfig
from poph_tf.data.cells import PLAY, REPLAY, VOLUME

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0
DRUM_CHANNEL = 9
ALL_NOTES_OFF = 123
# General MIDI wood blocks; the high one is for the first beat of a bar.
CLICKS = (76, 77)
CLICK_VELOCITY = 90

Bytes = tuple[int, ...]


class Sounding:
    """The notes that the composer plays.

    Args:
        model: configuration of the model.
        config: has the channels.
    """

    def __init__(self, model: ModelConfig, config: LiveConfig) -> None:
        self._low = model.min_pitch
        self._programs = [track.program for track in model.tracks] or [0]
        drums = [track.is_drum for track in model.tracks] or [False]
        self._channels = [*_channels(drums, config)]
        # (channel, pitch) of the notes that sound, without clicks.
        self._notes: set[tuple[int, int]] = set()
        self._click = 0

    def programs(self) -> Iterator[Bytes]:
        """The instruments of the tracks."""
        for channel, program in zip(self._channels, self._programs, strict=True):
            if channel != DRUM_CHANNEL:
                yield PROGRAM | channel, program

    def show(self, frame: np.ndarray, tracks: Sequence[int]) -> list[Bytes]:
        """What to send so that exactly this frame sounds.

        Args:
            frame: uint8 [track, pitch, 3].
            tracks: tracks to play.
        """
        wanted: dict[tuple[int, int], tuple[bool, int]] = {}
        for track in tracks:
            for pitch in np.flatnonzero(frame[track, :, PLAY]).tolist():
                cell = frame[track, pitch]
                key = (self._channels[track], pitch + self._low)
                struck, velocity = wanted.get(key, (False, 1))
                wanted[key] = (
                    struck or bool(cell[REPLAY]),
                    max(velocity, int(cell[VOLUME])),
                )
        begin = {key for key in wanted if key not in self._notes or wanted[key][0]}
        end = {key for key in self._notes if key not in wanted or key in begin}
        self._notes = set(wanted)
        ended: list[Bytes] = [(NOTE_OFF | key[0], key[1], 0) for key in sorted(end)]
        return ended + [
            (NOTE_ON | key[0], key[1], min(wanted[key][1], 127))
            for key in sorted(begin)
        ]

    def silence(self) -> list[Bytes]:
        """Ends all notes."""
        ended = [(NOTE_OFF | channel, pitch, 0) for channel, pitch in self._notes]
        self._notes = set()
        return self.end_click() + sorted(ended)

    def panic(self) -> list[Bytes]:
        """Ends all notes, and sends "all notes off" to each channel."""
        channels = sorted(set(self._channels))
        return self.silence() + [(CONTROL | c, ALL_NOTES_OFF, 0) for c in channels]

    def click(self, first: bool) -> list[Bytes]:
        """A click, for the first beat of a bar or another one."""
        ended = self.end_click()
        self._click = CLICKS[0] if first else CLICKS[1]
        return [*ended, (NOTE_ON | DRUM_CHANNEL, self._click, CLICK_VELOCITY)]

    def end_click(self) -> list[Bytes]:
        """Ends the sounding click, if there is one."""
        pitch, self._click = self._click, 0
        return [(NOTE_OFF | DRUM_CHANNEL, pitch, 0)] if pitch else []


def _channels(drums: Sequence[bool], config: LiveConfig) -> Iterator[int]:
    """The channel of each track, 0..15; only drums use the drum channel."""
    channel = config.channel - 1
    melodic = [c for c in range(16) if c != DRUM_CHANNEL]
    for is_drum in drums:
        if is_drum or config.one_channel:
            yield DRUM_CHANNEL if is_drum else channel
            continue
        at_least = [c for c in melodic if c >= channel] or melodic
        yield at_least[0]
        channel = (at_least[0] + 1) % 16
