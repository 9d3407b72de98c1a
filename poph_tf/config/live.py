"""Settings of live play."""

from typing import Annotated, Literal

from annotated_types import Interval

from poph_tf.config.declaration import settings


@settings
class LiveConfig:
    """How the composer plays with you.

    Example:
        >>> LiveConfig(call_bars=4).mode
        'answer'
        >>> LiveConfig(call_bars=0)
        Traceback (most recent call last):
        poph_tf.errors.InputError: call_bars must be a whole number from 1 to 64, got 0.
    """

    mode: Literal["answer", "accompany"] = "answer"
    """answer: you play some bars, and it continues from them, turn by turn; accompany:
    you play a melody, and it plays the other tracks with you."""
    call_bars: Annotated[int, Interval(ge=1, le=64)] = 2
    """Number of bars that you play before each answer."""
    answer_bars: Annotated[int, Interval(ge=0, le=64)] = 0
    """Number of bars of each answer; 0: as many as call_bars."""
    part: str = ""
    """Track that you play; empty: the melody, or else the first track."""
    legato: Annotated[int, Interval(ge=0, le=64)] = 4
    """Steps (sixteenths) by which each note of a voice is prolonged unless another
    follows, so that short gaps do not count as rests; 0: as played."""
    clock: Literal["own", "midi"] = "own"
    """own: keep the tempo of tempo_qpm; midi: follow the clock, start, stop, continue
    and song position messages of the input."""
    count_in: Annotated[int, Interval(ge=0, le=8)] = 1
    """Bars of clicks before the first bar, with clock=own."""
    click: bool = False
    """Keep clicking after the count-in (drum channel 10)."""
    listen: Annotated[int, Interval(ge=0, le=16)] = 0
    """MIDI channel to listen to; 0: all."""
    channel: Annotated[int, Interval(ge=1, le=16)] = 1
    """MIDI channel of the first track; each further track uses the next one."""
    one_channel: bool = False
    """Send all tracks on one channel, for an instrument that receives only one."""
