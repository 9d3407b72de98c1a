"""The tracks of a model or a data set: instruments, or voices of one note at a time."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic
from annotated_types import Interval

from poph_tf.config.declaration import settings
from poph_tf.errors import InputError


@settings
class Track:
    """One part of a piece.

    Example:
        >>> Track("left_hand").program, Track("left_hand").voice
        (0, False)
    """

    name: str
    """Name, by which tracks of pieces are matched to tracks of models."""
    program: Annotated[int, Interval(ge=0, le=127)] = 0
    """General MIDI program."""
    is_drum: bool = False
    """Whether it is a drum track, whose pitches are the instruments of the kit."""
    voice: bool = False
    """Whether it has at most one note at a time."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^,\s]+", self.name):
            raise InputError(
                f"A track's name must be a word without commas, got {self.name!r}."
            )


# The setting for no tracks: all instruments in one roll.
MERGED = "merged"
# A name with this suffix stands for a voice: one note at a time.
VOICE_SUFFIX = ":voice"
# The voices of a choir, from high to low.
CHOIR = tuple(
    Track(name, program=52, voice=True) for name in ("soprano", "alto", "tenor", "bass")
)
# The General MIDI program of the tracks with these names.
PROGRAMS = {"piano": 0, "organ": 19, "guitar": 25, "bass": 33, "strings": 48}


def wanted(names: Sequence[str]) -> tuple[Track, ...]:
    """The tracks that a setting names; empty for ("merged",).

    Raises:
        InputError: If a name is invalid, or merged is listed with other names.
    """
    if tuple(names) == (MERGED,):
        return ()
    if MERGED in names or not names:
        raise InputError(
            f"tracks must be {MERGED} or names of tracks, got {','.join(names)!r}."
        )
    plain = [name.removesuffix(VOICE_SUFFIX) for name in names]
    # Next to other voices of a choir, bass means the voice.
    in_choir = bool({track.name for track in CHOIR[:3]} & set(plain))
    choir = {track.name: track for track in CHOIR if in_choir}
    made = (
        choir.get(name)
        or Track(name, PROGRAMS.get(name, 0), name == "drums", voice=given != name)
        for given, name in zip(names, plain, strict=True)
    )
    return _distinct(tuple(made))


def _from_json(values: Any) -> Any:
    """Accepts tracks as `Stored.to_dict` writes them: in JSON, a list of objects."""
    if not isinstance(values, list | tuple):
        return values
    return tuple(Track(**v) if isinstance(v, Mapping) else v for v in values)


def _distinct(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    names = [track.name for track in tracks]
    if len(set(names)) != len(names):
        raise InputError(f"Tracks must have distinct names, got {', '.join(names)}.")
    return tracks


Tracks = Annotated[
    tuple[Track, ...],
    pydantic.Strict(False),
    pydantic.BeforeValidator(_from_json),
    pydantic.AfterValidator(_distinct),
]


def named(tracks: Sequence[Track], name: str) -> int:
    """The index of a track in a list.

    Raises:
        InputError: If there is no such track.
    """
    names = [track.name for track in tracks]
    if name not in names:
        raise InputError(
            f"There is no track {name!r}; there are {', '.join(names) or 'none'}."
        )
    return names.index(name)
