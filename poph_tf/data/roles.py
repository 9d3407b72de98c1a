"""The tracks that a data set may ask for by name, and which notes of a piece they get.

A role is found in this order: the name of a part ("Sopran 1", "MELODY"); its General
MIDI program; for the voices of a choir, a part for each from high to low, or any parts
whose notes are separated into voices; for the melody, the highest monophonic part; for
the accompaniment, everything that is left. Any other name asks for the parts of that
name.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from poph_tf.config.tracks import CHOIR, Track
from poph_tf.data import instruments, voices
from poph_tf.data import notes as notes_lib
from poph_tf.data.instruments import Part
from poph_tf.data.notes import Notes
from poph_tf.errors import InputError

# The words in a part's name that tell its role.
_WORDS = {
    "soprano": r"sopran\w*|superius|cantus|discant\w*|treble",
    "alto": r"alt|alto|altus|contralto",
    "tenor": r"tenor\w*",
    "bass": r"bass|bas|basso|bassus",
    "melody": r"melod\w*|vocals?|lead|singer|voice|song",
    "bridge": r"bridge",
    "piano": r"piano|pno|klavier|keyboard",
    "accompaniment": r"accomp\w*|backing",
    "guitar": r"guitars?|gtr",
    "strings": r"strings?",
    "organ": r"organ",
    "drums": r"drums?|percussion",
}
# Roles of parts named by a single letter.
_LETTERS = {track.name[0]: track.name for track in CHOIR}
# The families of General MIDI, of eight programs each, that have a role.
_FAMILIES = {2: "organ", 3: "guitar", 4: "bass", 5: "strings", 6: "strings"}
# A melody has at most this many notes at once, on average.
_MELODY_POLYPHONY = 1.05
# Voices are separated from at least this many notes at once, on average, per voice.
_CHOIR_POLYPHONY = 0.6
_LEFT_OVER = "accompaniment"


def assign(notes: Notes, tracks: Sequence[Track]) -> dict[Track, np.ndarray]:
    """Finds the notes of each track.

    Args:
        notes: the notes of the piece.
        tracks: the tracks to fill.

    Returns:
        For each track, bool [note]; notes that belong to none are left out.

    Raises:
        InputError: If a track gets no notes; the message is the reason.
    """
    parts = instruments.parts(notes, drums=any(track.is_drum for track in tracks))
    found: dict[str, list[Part]] = {track.name: [] for track in tracks}
    left = [part for part in parts if not _take(part, found)]
    missing = [track.name for track in tracks if not found[track.name]]
    choir = [track for track in CHOIR if track in tracks]
    if len(choir) == len(tracks) == len(missing):
        own = dict(zip(choir, _choir(notes, left, choir), strict=True))
        return {track: own[track] for track in tracks}
    if "melody" in missing and (len(left) > 1 or missing == ["melody"]):
        _take_melody(left, found)
    if _LEFT_OVER in missing:
        found[_LEFT_OVER] = [part for part in left if not part.is_drum]
    missing = [track.name for track in tracks if not found[track.name]]
    if missing:
        raise InputError(f"no notes for the track {missing[0]}")
    return {track: _where(notes, found[track.name]) for track in tracks}


def _take(part: Part, found: Mapping[str, list[Part]]) -> bool:
    """Gives a part to the track that its name or program indicates, if it is wanted."""
    role = _role(part, found)
    if role is None:
        return False
    found[role].append(part)
    return True


def _role(part: Part, names: Mapping[str, object]) -> str | None:
    if part.is_drum:
        return "drums" if "drums" in names else None
    words = re.sub(r"[\W_]+", " ", part.name.lower()).split()
    if "_".join(words) in names:
        return "_".join(words)
    if len(words) == 1 and words[0] in _LETTERS:
        return _LETTERS[words[0]] if _LETTERS[words[0]] in names else None
    for role, pattern in _WORDS.items():
        if any(re.fullmatch(pattern, re.sub(r"\d+$", "", word)) for word in words):
            return role if role in names else None
    # In files without programs everything is "piano": there names decide.
    family = "piano" if 0 < part.program < 8 else _FAMILIES.get(part.program // 8)
    return family if family in names else None


def _take_melody(left: list[Part], found: dict[str, list[Part]]) -> None:
    """Takes the highest monophonic part out of those left."""
    single = [
        p for p in left if not p.is_drum and _polyphony(p.notes) < _MELODY_POLYPHONY
    ]
    if single:
        melody = max(single, key=lambda part: float(part.notes.pitch.mean()))
        left.remove(melody)
        found["melody"] = [melody]


def _polyphony(notes: Notes) -> float:
    """Mean number of notes while any sounds."""
    order = np.argsort(notes.start_tick, kind="stable")
    start, end = notes.start_tick[order], notes.end_tick[order]
    reached = np.maximum.accumulate(np.append(start[0], end[:-1]))
    covered = np.maximum(end - np.maximum(start, reached), 0).sum()
    return float((end - start).sum() / max(covered, 1))


def _choir(
    notes: Notes, parts: Sequence[Part], choir: Sequence[Track]
) -> list[np.ndarray]:
    """The notes of each voice, bool [note]: a part for each, or separated notes."""
    single = [part for part in parts if _polyphony(part.notes) < _MELODY_POLYPHONY]
    if len(single) == len(parts) == len(choir):
        high_first = sorted(parts, key=lambda part: -part.notes.pitch.mean())
        return [part.mask for part in high_first]
    mask = _where(notes, parts)
    # A melody, or two voices, would be cut to pieces by pitch.
    least = _CHOIR_POLYPHONY * len(choir)
    if mask.any() and _polyphony(notes_lib.select(notes, mask)) < least:
        raise InputError(f"too few notes at once for {len(choir)} voices")
    middles, used = [voices.CHOIR[CHOIR.index(t)] for t in choir], np.flatnonzero(mask)
    start, end, pitch = notes.start_tick, notes.end_tick, notes.pitch
    labels = voices.separate(start[used], end[used], pitch[used], middles)
    found = []
    for voice, track in enumerate(choir):
        if not (labels == voice).any():
            raise InputError(f"no notes for the track {track.name}")
        mask = np.zeros(len(notes), bool)
        mask[used[labels == voice]] = True
        found.append(mask)
    return found


def _where(notes: Notes, parts: Sequence[Part]) -> np.ndarray:
    """The notes of some parts; bool [note]."""
    none = np.zeros(len(notes), bool)
    return np.any([none, *(part.mask for part in parts)], axis=0)
