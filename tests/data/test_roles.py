"""Which notes each named track gets, and voices separated from one part."""

import dataclasses

import numpy as np
import pytest

from poph_tf.config.tracks import CHOIR, Track, wanted
from poph_tf.data import instruments, notes, quantization, reading, roles, voices
from poph_tf.data.preparation import corpus
from poph_tf.errors import InputError


def piece(*parts):
    """Makes notes of parts (name, program, is_drum, [(start, end, pitch)])."""
    rows = [
        (480 * start, 480 * end, pitch, 80, program, number, is_drum)
        for number, (_, program, is_drum, tones) in enumerate(parts)
        for start, end, pitch in tones
    ]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    types = (np.int64, np.int64, np.uint8, np.uint8, np.uint8, np.int64, bool)
    return notes.Notes(
        *(column.astype(t) for column, t in zip(columns, types, strict=True)),
        ticks_per_quarter=480,
        tempo_ticks=np.zeros(0, np.int64),
        tempo_qpms=np.zeros(0),
        time_signatures=np.zeros((0, 3), np.int64),
        pedals=np.zeros((0, 3), np.int64),
        bar_marks=np.zeros((0, 2), np.int64),
        names={number: name for number, (name, *_) in enumerate(parts)},
    )


def pitches(music, names):
    """Returns the pitches of each track that is found."""
    masks = roles.assign(music, wanted(names))
    return {track.name: music.pitch[mask].tolist() for track, mask in masks.items()}


TUNE, CHORDS = [(0, 1, 72), (1, 2, 74)], [(0, 2, 60), (0, 2, 64), (0, 2, 55)]
BASS, BEAT = [(0, 2, 36)], [(0, 1, 38)]
SONG = [
    ("MELODY", 0, False, TUNE),
    ("BRIDGE", 0, False, [(2, 3, 76)]),
    ("PIANO", 0, False, CHORDS),
]


def test_names_tell_the_tracks_of_a_song():
    assert pitches(piece(*SONG), ("melody", "bridge", "piano")) == {
        "melody": [72, 74],
        "bridge": [76],
        "piano": [60, 64, 55],
    }


def test_parts_that_are_not_wanted_are_left_out():
    assert pitches(piece(*SONG), ("piano",)) == {"piano": [60, 64, 55]}


def test_programs_tell_what_names_do_not():
    band = piece(
        ("", 73, False, TUNE),
        ("", 25, False, CHORDS),
        ("", 34, False, BASS),
        ("", 0, True, BEAT),
    )
    found = pitches(band, ("melody", "accompaniment", "bass", "drums"))
    assert found["bass"] == [36] and found["drums"] == [38]
    # The flute plays one note at a time; the guitar is the remaining part.
    assert found["melody"] == [72, 74] and found["accompaniment"] == [60, 64, 55]


def test_a_program_is_no_role_where_the_name_says_another():
    music = piece(("Bass", 48, False, BASS), ("Strings", 0, False, CHORDS))
    assert pitches(music, ("strings", "bass")) == {
        "strings": [60, 64, 55],
        "bass": [36],
    }


def test_any_other_name_is_that_of_a_part():
    music = piece(("Violin 1", 40, False, TUNE), ("Cello", 42, False, BASS))
    assert pitches(music, ("cello", "violin_1")) == {
        "cello": [36],
        "violin_1": [72, 74],
    }


CHORALE = {
    "soprano": [(0, 1, 72), (1, 2, 74)],
    "alto": [(0, 2, 67)],
    "tenor": [(0, 1, 64), (1, 2, 62)],
    "bass": [(0, 1, 48), (1, 2, 47)],
}
SINGERS = {name: [p for *_, p in tones] for name, tones in CHORALE.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("Soprano", "Alto", "Tenor", "Bass"),
        ("S.", "A.", "T.", "B."),
        ("Sopran 1", "Altus", "Tenore", "Bassus"),
        ("Violin I", "Violin II", "Viola", "Violoncello"),
    ],
)
def test_parts_of_a_choir_are_found_by_name_or_height(names):
    parts = zip(names, CHORALE.values(), strict=True)
    music = piece(*[(name, 0, False, tones) for name, tones in parts])
    assert pitches(music, tuple(CHORALE)) == SINGERS
    assert list(pitches(music, ("bass", "alto", "tenor", "soprano"))) == [
        "bass",
        "alto",
        "tenor",
        "soprano",
    ]


def test_one_part_is_separated_into_voices():
    tones = sorted(tone for voice in CHORALE.values() for tone in voice)
    found = pitches(piece(("", 0, False, tones)), tuple(CHORALE))
    assert found == SINGERS


def test_a_voice_keeps_its_line_where_the_one_above_rests():
    # The soprano starts a beat late: the first G4 belongs to the alto.
    start = np.array([0, 0, 1, 2, 2])
    end = np.array([1, 4, 4, 4, 4])
    pitch = np.array([67, 48, 76, 65, 59])
    assert voices.separate(start, end, pitch).tolist() == [1, 3, 0, 1, 2]


def test_more_notes_than_voices_are_refused():
    chord = [(0, 1, pitch) for pitch in (50, 55, 60, 64, 67)]
    with pytest.raises(InputError, match="more than 4 notes at once"):
        roles.assign(piece(("", 0, False, chord)), CHOIR)


def test_a_lone_part_of_one_note_at_a_time_is_the_melody():
    tune = piece(("", 0, False, TUNE))
    assert pitches(tune, ("melody:voice",)) == {"melody": [72, 74]}
    band = piece(("", 0, False, TUNE), ("PIANO", 0, False, CHORDS))
    assert pitches(band, ("melody", "piano"))["melody"] == [72, 74]
    with pytest.raises(InputError, match="no notes for the track melody"):
        roles.assign(tune, wanted(("melody", "accompaniment")))


def test_one_voice_or_two_are_not_cut_into_four():
    scale = [(k, k + 1, pitch) for k, pitch in enumerate(range(45, 80))]
    for second in ([], [(start, end, pitch - 9) for start, end, pitch in scale]):
        parts = ("", 0, False, scale), ("", 0, False, second)
        with pytest.raises(InputError, match="too few notes at once for 4 voices"):
            roles.assign(piece(*parts), CHOIR)


def test_a_track_without_notes_is_a_reason():
    with pytest.raises(InputError, match="no notes for the track bridge"):
        roles.assign(piece(SONG[0], SONG[2]), wanted(("melody", "bridge", "piano")))


def test_several_notes_at_once_in_a_voice_are_a_reason():
    music = piece(("Lead", 0, False, [(0, 2, 60), (1, 3, 64)]))
    (track,) = wanted(("melody:voice",))
    assert track == Track("melody", voice=True)
    masks = roles.assign(music, (track,))
    whole = quantization.quantize(music)
    with pytest.raises(InputError, match="several notes at once in the voice melody"):
        instruments.quantize_tracks(music, masks, whole)


def test_the_bass_of_a_choir_is_a_voice_and_that_of_a_band_is_not():
    assert wanted(("soprano", "bass"))[1] == CHOIR[3]
    assert wanted(("melody", "bass"))[1] == Track("bass", 33)
    assert wanted(("merged",)) == ()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("merged", "bass"), "tracks must be merged or names of tracks"),
        ((), "tracks must be merged or names"),
        (("bass", "bass:voice"), "Tracks must have distinct names, got bass, bass"),
        (("first violin",), "name must be a word without commas, got 'first violin'"),
    ],
)
def test_impossible_tracks_are_refused(names, words):
    with pytest.raises(InputError, match=words):
        wanted(names)


def test_the_voices_of_chorales_are_found_again_in_one_part():
    """Bach from music21; a unison of two voices may go to either.

    Rare chorales, such as bwv10.7, have voices that cross for bars: no rule finds them.
    """
    pytest.importorskip("music21")
    right = []
    paths = {path.stem: path for path in corpus.find("bach")}
    for stem in ("bwv66.6", "bwv269"):
        music = reading.read_notes(paths[stem])
        truth = roles.assign(music, CHOIR)
        one = dataclasses.replace(music, instrument=0 * music.instrument, names={})
        found = roles.assign(one, CHOIR)
        for track in CHOIR:
            own, got = (
                {*zip(music.start_tick[mask], music.pitch[mask], strict=True)}
                for mask in (truth[track], found[track])
            )
            right += [note in got for note in own]
    assert len(right) > 300 and np.mean(right) >= 0.98
