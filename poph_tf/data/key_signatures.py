"""The key that a file states in its first key signature, if it has one.

Modes are those of a NoteSequence's key signature. Without a mode, a signature may mean
its major key or the relative minor: the notes decide. One without sharps, flats or mode
says nothing, since many programs write it before any music; nor does C major in a MIDI
file. Other major keys of MIDI files do not settle the mode: many programs write no
other.
"""

from typing import TYPE_CHECKING, Any

from poph_tf import theory
from poph_tf.theory import NUM_PITCH_CLASSES

if TYPE_CHECKING:
    from note_seq import NoteSequence

MAJOR, MINOR, UNSAID, MIXOLYDIAN, DORIAN, PHRYGIAN, LYDIAN, LOCRIAN = range(8)
# The modes by the first three letters of their names; anything else is `UNSAID`.
MODES = {
    "maj": MAJOR,
    "ion": MAJOR,
    "min": MINOR,
    "aeo": MINOR,
    "mix": MIXOLYDIAN,
    "dor": DORIAN,
    "phr": PHRYGIAN,
    "lyd": LYDIAN,
    "loc": LOCRIAN,
}
# By mode: semitones from the tonic of the major key of the same signature.
ABOVE_MAJOR = (0, 9, 0, 7, 2, 4, 5, 11)
_WITH_MAJOR_THIRD = (MAJOR, MIXOLYDIAN, LYDIAN)
_SEMITONES_OF_FIFTH = 7
_ORDER_OF_SHARPS = "FCGDAEB"


def mode_of(name: str) -> int:
    """The mode of a name.

    Example:
        >>> mode_of("Dorian") == DORIAN, mode_of("none") == UNSAID
        (True, True)
    """
    return MODES.get(name.strip().lower()[:3], UNSAID)


def tonic_of(sharps: int, mode: int) -> int:
    """The pitch class of the tonic; without a mode, that of the major key.

    Example:
        >>> tonic_of(-1, MAJOR), tonic_of(-1, MINOR), tonic_of(1, DORIAN)
        (5, 2, 9)
    """
    return (_SEMITONES_OF_FIFTH * sharps + ABOVE_MAJOR[mode]) % NUM_PITCH_CLASSES


def sharps_of(tonic: int, mode: int) -> int:
    """The sharps of a key, -5 to 6, flats negative: the inverse of `tonic_of`.

    Example:
        >>> sharps_of(5, MAJOR), sharps_of(2, MINOR), sharps_of(9, DORIAN)
        (-1, -1, 1)
    """
    fifths = _SEMITONES_OF_FIFTH * (tonic - ABOVE_MAJOR[mode])
    return (fifths + 5) % NUM_PITCH_CLASSES - 5


def accidentals(sharps: int) -> dict[str, int]:
    """The sharps (1) or flats (-1) of a key, by letter.

    Example:
        >>> accidentals(2), accidentals(-1)
        ({'F': 1, 'C': 1}, {'B': -1})
    """
    letters = _ORDER_OF_SHARPS if sharps > 0 else _ORDER_OF_SHARPS[::-1]
    return dict.fromkeys(letters[: abs(sharps)], 1 if sharps > 0 else -1)


def possible_keys(tonic: int, mode: int) -> tuple[int, ...]:
    """The keys 0..23 that a key signature allows; empty if it says nothing.

    Example:
        >>> possible_keys(2, MINOR), possible_keys(5, UNSAID), possible_keys(0, UNSAID)
        ((14,), (5, 14), ())
    """
    if mode != UNSAID:
        return (tonic + NUM_PITCH_CLASSES * (mode not in _WITH_MAJOR_THIRD),)
    minor = (tonic + ABOVE_MAJOR[MINOR]) % NUM_PITCH_CLASSES
    return (tonic, NUM_PITCH_CLASSES + minor) if tonic else ()


def chosen(keys: tuple[int, ...], play: Any) -> str:
    """The name of the key among `keys` that a piece is in; empty without keys.

    Args:
        keys: 0..23.
        play: [time, pitch], whether each MIDI pitch sounds.
    """
    if len(keys) > 1:
        return theory.key_name(theory.find_key(play, among=keys))
    return theory.key_name(*keys) if keys else ""


def named(key: str) -> tuple[int, ...]:
    """The key 0..23 with this name; empty without a name."""
    return (theory.key_number(key),) if key else ()


def from_sequence(sequence: "NoteSequence") -> tuple[int, ...]:
    """The keys 0..23 that the first key signature allows."""
    signs = sorted(sequence.key_signatures, key=lambda sign: sign.time)
    from_midi = sequence.source_info.encoding_type == sequence.source_info.MIDI
    for sign in signs[:1]:
        mode = UNSAID if from_midi and sign.mode == MAJOR else sign.mode
        return possible_keys(sign.key, mode)
    return ()


def to_sequence(keys: tuple[int, ...], sequence: "NoteSequence") -> None:
    """Writes the key signature that allows some keys 0..23; none for no keys."""
    if keys:
        is_minor, tonic = divmod(keys[0], NUM_PITCH_CLASSES)
        mode = UNSAID if len(keys) > 1 else is_minor
        sequence.key_signatures.add(time=0.0, key=tonic, mode=mode)
