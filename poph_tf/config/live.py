"""Settings of playing with the composer."""

from typing import Annotated, Literal

from annotated_types import Interval

from poph_tf.config.declaration import settings


@settings
class LiveConfig:
    """How the composer plays with somebody.

    Example:
        >>> LiveConfig(call_bars=4).mode
        'answer'
        >>> LiveConfig(call_bars=0)
        Traceback (most recent call last):
        poph_tf.errors.InputError: call_bars must be a whole number from 1 to 64, got 0.
    """

    mode: Literal["answer", "accompany"] = "answer"
    """answer: you play some bars, it goes on from them, turn by turn; accompany: you
    play a melody, it plays the other tracks with you."""
    call_bars: Annotated[int, Interval(ge=1, le=64)] = 2
    """Bars that you play before each answer."""
    answer_bars: Annotated[int, Interval(ge=0, le=64)] = 0
    """Bars of each answer; 0: as many as call_bars."""
    part: str = ""
    """Track that you play; empty: the melody, or the first."""
    legato: Annotated[int, Interval(ge=0, le=64)] = 4
    """Steps (sixteenths) that a voice is heard on after its note, unless another
    follows, so that short notes are no rests; 0: as played."""
    clock: Literal["own", "midi"] = "own"
    """own: the tempo of tempo_qpm; midi: clock, start, stop, continue and song position
    that come through the input."""
    count_in: Annotated[int, Interval(ge=0, le=8)] = 1
    """Bars of clicks before the first bar, with the clock of its own."""
    click: bool = False
    """Go on clicking after the count-in (drum channel 10)."""
    listen: Annotated[int, Interval(ge=0, le=16)] = 0
    """Channel that is listened to; 0: all."""
    channel: Annotated[int, Interval(ge=1, le=16)] = 1
    """Channel of the first track; each further track has the next."""
    one_channel: bool = False
    """All tracks on one channel, for an instrument that hears one only."""
