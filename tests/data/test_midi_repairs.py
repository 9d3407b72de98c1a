"""Files that violate the MIDI standard: read as players do, each repair counted."""

import math

import numpy as np
import pytest
import smf
from note_seq.protobuf import music_pb2
from smf import off, on

from poph_tf.data import matrices, midi, midi_bytes, midi_chunks, quantization
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError

ONE = [on(0, 60), off(480, 60)]
TWO = [on(480, 62, 70), off(960, 62)]
C = (0, 480, 60, 64)
D = (480, 960, 62, 70)


def with_lengths(data, *changes):
    """Returns the file with the stated length of each track changed."""
    at = 14
    for change in changes:
        length = int.from_bytes(data[at + 4 : at + 8])
        new = (length + change).to_bytes(4)
        data = data[: at + 4] + new + data[at + 8 :]
        at += 8 + length
    return data


def declared(data, tracks):
    return data[:10] + tracks.to_bytes(2) + data[12:]


def raw(*bodies):
    """Makes a file of tracks given as bytes."""
    chunks = b"".join(b"MTrk" + len(body).to_bytes(4) + body for body in bodies)
    return declared(smf.file()[:14], len(bodies)) + chunks


NOTE = b"\0\x90\x3c\x40\x83\x60\x80\x3c\x00"
END = b"\0\xff\x2f\0"
MANY, WRONG = "another number of tracks than the header says", "wrong length of a track"
AFTER, NO_END = "bytes after the end of a track left out", "a track without its end"
CUT = "the last event of a track cut off"
RUNNING = "running status after another kind of event"
UNDEFINED, HIGH = "an undefined status byte left out", "a data byte above 127 clipped"
UNENDED = "a note without an end"

# name: (file, its notes (start, end, pitch, velocity), repairs).
CASES = {
    "well-formed": (smf.file(ONE, TWO), [C, D], {}),
    "more tracks than the header says": (
        declared(smf.file(ONE, TWO), 1),
        [C, D],
        {MANY: 1},
    ),
    "fewer tracks": (declared(smf.file(ONE, TWO), 3), [C, D], {MANY: 1}),
    "a chunk of another kind": (
        smf.file(ONE)[:14] + b"XFIH\0\0\0\3abc" + smf.file(ONE)[14:],
        [C],
        {},
    ),
    "bytes after the end of a track": (
        raw(NOTE + END + b"\0\x90\x40\x40\x20\x80\x40\0"),
        [C],
        {AFTER: 1},
    ),
    "bytes after the last track": (smf.file(ONE) + b"\0\0 goodbye", [C], {}),
    "a length of 2 too few": (
        with_lengths(smf.file(ONE, TWO), -2),
        [C, D],
        {WRONG: 1},
    ),
    "a length of 3 too many": (
        with_lengths(smf.file(ONE, TWO), 3),
        [C, D],
        {WRONG: 1},
    ),
    "a last length of 5 too many": (
        with_lengths(smf.file(ONE, TWO), 0, 5),
        [C, D],
        {WRONG: 1},
    ),
    "a last length of 5 too few": (
        with_lengths(smf.file(ONE, TWO), 0, -5),
        [C, D],
        {WRONG: 1},
    ),
    "no end of a track": (raw(NOTE), [C], {NO_END: 1}),
    "the last event cut off": (raw(NOTE + b"\0\x90\x40"), [C], {CUT: 1}),
    "a file cut off": (
        smf.file([*ONE, *TWO])[:-8],
        [C, (480, 481, 62, 70)],
        {WRONG: 1, CUT: 1, UNENDED: 1},
    ),
    "running status": (raw(b"\0\x90\x3c\x40\x83\x60\x3c\0" + END), [C], {}),
    "running status after a text": (
        raw(b"\0\x90\x3c\x40\0\xff\1\2hi\x83\x60\x3c\0" + END),
        [C],
        {RUNNING: 1},
    ),
    "running status after an exclusive message": (
        raw(b"\0\x90\x3c\x40\0\xf0\2\x43\xf7\x83\x60\x3c\0" + END),
        [C],
        {RUNNING: 1},
    ),
    "F4 and F5": (
        raw(b"\0\xf4" + NOTE + b"\0\xf5\0\xf9\0\xfd" + END),
        [C],
        {UNDEFINED: 4},
    ),
    "clock, song position and tune request": (
        raw(b"\0\xf8\0\xf2\1\2\0\xf3\1\0\xf6" + NOTE + b"\0\xfe" + END),
        [C],
        {},
    ),
    "a controller above 127": (
        raw(b"\0\xb0\x07\xc8" + NOTE + END),
        [C],
        {HIGH: 1},
    ),
    "a velocity above 127": (
        raw(b"\0\x90\x3c\xff\x83\x60\x80\x3c\0" + END),
        [(0, 480, 60, 127)],
        {HIGH: 1},
    ),
    "all notes off": (
        smf.file([on(0, 60), on(0, 64), (480, 0xB0, 123, 0), on(480, 60), off(960, 60)]
        ),
        [C, (0, 480, 64, 64), (480, 960, 60, 64)],
        {},
    ),
    "all notes off at once": (
        smf.file([on(480, 60), (480, 0xB0, 123, 0), on(480, 64), off(480, 64)]),
        [(480, 481, 60, 64), (480, 481, 64, 64)],
        {},
    ),
    "times of two and three bytes": (
        smf.file([on(0x80, 60), off(0x4000, 60)]),
        [(0x80, 0x4000, 60, 64)],
        {},
    ),
    "all sound off, of one channel": (
        smf.file(
            [on(0, 60), on(0, 64, 64, 1), (480, 0xB0, 120, 0), off(960, 64, 1)],
        ),
        [C, (0, 960, 64, 64)],
        {},
    ),
    "a note without an end": (
        smf.file([on(0, 60), *TWO], [on(0, 50), off(4800, 50)]),
        [(0, 960, 60, 64), D, (0, 4800, 50, 64)],
        {UNENDED: 1},
    ),
    "a last note without an end": (
        raw(b"\0\x90\x3c\x40\x83\x60\xff\x2f\0"),
        [C],
        {UNENDED: 1},
    ),
    "format 2": (
        smf.file(ONE, ONE, kind=2),
        [C, (480, 960, 60, 64)],
        {"format 2: its tracks follow one another": 1},
    ),
    "RIFF": (
        b"RIFF\x50\0\0\0RMIDdata\x40\0\0\0" + smf.file(ONE),
        [C],
        {},
    ),
    "MacBinary": (
        b"\0\4song" + bytes(122) + smf.file(ONE) + bytes(60),
        [C],
        {"bytes before the header": 1},
    ),
    "a long text that runs past the end": (
        raw(NOTE + b"\0\xff\1\xff\xff\xff\x7fabc"),
        [C],
        {CUT: 1},
    ),
}  # fmt: skip


def rows(notes):
    columns = (notes.start_tick, notes.end_tick, notes.pitch, notes.velocity)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_damage_is_mended_as_players_do_and_counted(case, compiled):
    data, expected, repairs = CASES[case]
    notes = midi_bytes.parse(data, compiled=compiled)
    assert sorted(rows(notes)) == sorted(expected)
    assert notes.repairs == repairs


# 25 frames of 40 ticks give one tick per ms; 29 means 29.97 frames per second.
@pytest.mark.parametrize(
    ("division", "tempo", "ticks", "quarters"),
    [
        (0xE728, None, (1000, 1500), (2.0, 3.0)),  # 120 qpm without a tempo
        (0xE728, 1_000_000, (1000, 1500), (1.0, 1.5)),
        (0xE804, 500_000, (48, 96), (1.0, 2.0)),
        (0xE308, None, (120, 240), (1.001, 2.002)),
        (0xE250, 250_000, (600, 1200), (1.0, 2.0)),
    ],
)
def test_smpte_time_becomes_quarters_along_the_tempi(division, tempo, ticks, quarters):
    start, end = ticks
    events = [smf.tempo(0, tempo)] if tempo else []
    data = smf.file([*events, on(start, 60), off(end, 60)], ticks_per_quarter=division)
    notes = midi_bytes.parse(data)
    found = np.append(notes.start_tick, notes.end_tick) / notes.ticks_per_quarter
    np.testing.assert_allclose(found, quarters, atol=1e-4)
    assert notes.repairs == {"SMPTE time instead of quarter notes": 1}


def test_smpte_time_has_no_quarters_of_its_own():
    chunks = midi_chunks.find(smf.file(ONE, ticks_per_quarter=0xE728), "a.mid")
    assert (chunks.ticks_per_quarter, chunks.ticks_per_second) == (0, 1000.0)


def pedal(tick, value, channel=0):
    return (tick, 0xB0 | channel, 64, value)


@pytest.mark.parametrize(
    ("tracks", "ends"),
    [
        # In its own track; down and up; another channel's pedal has no effect.
        ([[pedal(0, 127), *ONE, pedal(720, 0), on(960, 72), off(1440, 72)]], [6, 12]),
        ([[pedal(0, 127, 1), *ONE, pedal(720, 0, 1)]], [4]),
        # In another track of its channel.
        ([ONE, [pedal(0, 127), pedal(720, 0)]], [6]),
        # Still down at the end: held to the end of the piece.
        ([[pedal(0, 127), *ONE, *TWO]], [8, 8]),
        ([[on(0, 60), pedal(400, 127), off(480, 60), pedal(1200, 0)]], [10]),
        # Released by "reset all controllers" and "all sound off".
        ([[pedal(0, 127), *ONE, (600, 0xB0, 121, 0), *[on(960, 72), off(1440, 72)]]],
         [5, 12]),
        ([[pedal(0, 127), *ONE, (600, 0xB0, 120, 0), *[on(960, 72), off(1440, 72)]]],
         [5, 12]),
        # "All notes off" is a note-off, which the pedal holds.
        ([[pedal(0, 127), on(0, 60), (480, 0xB0, 123, 0), pedal(720, 0)]], [6]),
    ],
)  # fmt: skip
def test_the_pedal_lengthens_the_notes_of_its_channel(tracks, ends):
    notes = midi_bytes.parse(smf.file(*tracks))
    piece = quantization.quantize(notes, sustain=True)
    assert piece.end.tolist() == ends
    # The same through a NoteSequence and a MIDI file of it.
    sequence = notes_lib.to_sequence(notes)
    again = midi_bytes.parse(midi.to_bytes(sequence))
    assert quantization.quantize(again, sustain=True).end.tolist() == ends


def test_more_pedals_than_any_music_hold_in_their_own_track(monkeypatch):
    data = smf.file(ONE, [pedal(0, 127), *TWO, pedal(1200, 0)])
    for most, ends in ((4, [10, 10]), (3, [4, 10])):
        monkeypatch.setattr(midi_bytes, "_MOST_PEDALS", most)
        piece = quantization.quantize(midi_bytes.parse(data), sustain=True)
        assert piece.end.tolist() == ends


QUARTERS = [on(0, 60), off(480, 60), on(480, 62), off(480 * 9, 62)]


@pytest.mark.parametrize(
    ("metres", "positions"),
    [
        # A pickup of a quarter, of half a bar, of an eighth before 6/8.
        ([(0, 1, 2), (480, 4, 2)], [*range(12, 16), *range(16), *range(16)]),
        ([(0, 2, 2), (960, 4, 2)], [*range(8, 16), *range(16), *range(12)]),
        ([(0, 1, 3), (240, 6, 3)], [10, 11, *range(12), *range(12), *range(10)]),
        # A first bar in its own metre and two bars of 1/4 are not pickups.
        ([(0, 3, 2), (1440, 4, 2)], [*range(12), *range(16), *range(8)]),
        ([(0, 1, 2), (960, 4, 2)], [*range(4), *range(4), *range(16), *range(12)]),
        # The same metre again, on a bar line or anywhere, changes nothing.
        ([(0, 4, 2), (1920, 4, 2)], [*range(16), *range(16), *range(4)]),
        ([(0, 4, 2), (480, 4, 2), (2000, 4, 2)], [*range(16), *range(16), *range(4)]),
        # Back to the metre before the last one.
        (
            [(0, 3, 2), (1440, 2, 2), (2400, 3, 2)],
            [*range(12), *range(8), *range(12), *range(4)],
        ),
        ([(0, 3, 2), (0, 3, 2)], [*range(12), *range(12), *range(12)]),
        # A new metre within the first bar cuts it short: a pickup to that bar line.
        ([(0, 3, 2), (480, 4, 2)], [*range(8, 12), *range(16), *range(16)]),
    ],
)
def test_metres_and_pickups(metres, positions):
    data = smf.file([smf.metre(*metre) for metre in metres], QUARTERS)
    piece = matrices.from_notes(midi_bytes.parse(data))
    assert piece.bar_position.tolist() == positions
    written = midi_bytes.parse(midi.to_bytes(matrices.to_sequence(piece)))
    assert matrices.from_notes(written).bar_position.tolist() == positions


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Für Elise", "latin-1"),
        ("Prélude à l'après-midi d'un faune", "latin-1"),
        ("Don’t – “stop”", "cp1252"),
        ("ピアノ", "shift-jis"),
        ("ﾋﾟｱﾉ", "shift-jis"),
        ("月の光 (Clair)", "shift-jis"),
        ("Чайковский", "utf-8"),
        ("abcdefgh\x81", "latin-1"),  # not a letter in any encoding
        ("plain", "ascii"),
    ],
)
def test_titles_in_the_encodings_of_the_wild(text, encoding):
    content = text.encode(encoding)
    name, bass = (0, 0xFF, 3, len(content), *content), (0, 0xFF, 3, 4, *b"bass")
    notes = midi_bytes.parse(smf.file([name], [name, *ONE], [bass, *TWO]))
    assert notes.title == text
    assert notes.names == {16: text, 32: "bass"}


def test_programs_names_and_drums_survive_a_file_of_ours():
    data = smf.file(
        [(0, 0xFF, 3, 5, *b"Title"), smf.tempo(0, 600_000), smf.tempo(960, 400_000)],
        [(0, 0xFF, 3, 5, *b"flute"), (0, 0xC0, 73), *ONE],
        [(0, 0xFF, 3, 4, *b"kits"), on(0, 36, 99, 9), off(240, 36, 9)],
        [(0, 0xC1, 40), *[on(0, 50, 60, 1), off(480, 50, 1)]],
    )
    first = midi_bytes.parse(data)
    again = midi_bytes.parse(midi.to_bytes(notes_lib.to_sequence(first)))
    assert again.title == "Title"
    assert again.ticks_per_quarter == 480
    assert again.tempo_ticks.tolist() == [0, 960]
    np.testing.assert_allclose(again.tempo_qpms, [100, 150])
    found = zip(again.pitch, again.program, again.is_drum, strict=True)
    names = [again.names.get(k) for k in again.instrument.tolist()]
    assert list(zip(found, names, strict=True)) == [
        ((60, 73, False), "flute"),
        ((36, 0, True), "kits"),
        ((50, 40, False), None),
    ]


def test_tracks_that_double_each_other_sound_as_long_as_any():
    melody = [on(0, 60), off(1920, 60)]
    double = [on(480, 60, 30, 1), off(600, 60, 1)]
    piece = matrices.from_notes(midi_bytes.parse(smf.file(melody, double)))
    assert piece.play[:, 60].sum() == 16
    assert np.flatnonzero(piece.replay[:, 60]).tolist() == [4]


def test_tempos_that_nobody_plays_are_clamped_and_counted():
    sequence = music_pb2.NoteSequence(ticks_per_quarter=220)
    for time, qpm in ((0.0, 4.0), (15.0, 5000.0), (15.012, 120.0)):
        sequence.tempos.add(time=time, qpm=qpm)
    sequence.notes.add(pitch=60, velocity=80, start_time=0.0, end_time=15.0)
    notes = notes_lib.from_sequence(sequence)
    assert notes.tempo_qpms.tolist() == [10.0, 1000.0, 120.0]
    assert notes.repairs == {"tempos outside 10 to 1,000 clamped": 2}
    assert notes.end_tick.tolist() == [220]  # Its position in beats stays.


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ("notes", "start_time"),
        ("notes", "end_time"),
        ("tempos", "time"),
        ("time_signatures", "time"),
        ("control_changes", "time"),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_times_that_are_no_times_are_refused_by_name(where, field, value):
    sequence = music_pb2.NoteSequence(total_time=1.0)
    sequence.notes.add(pitch=60, velocity=80, start_time=0.0, end_time=1.0)
    sequence.tempos.add(time=0.0, qpm=120.0)
    sequence.time_signatures.add(time=0.0, numerator=4, denominator=4)
    sequence.control_changes.add(time=0.0, control_number=64, control_value=1)
    setattr(getattr(sequence, where)[0], field, value)
    with pytest.raises(InputError, match=f"Times of {where.replace('_', ' ')} must be"):
        notes_lib.from_sequence(sequence)


def test_a_tempo_or_length_that_is_no_number_is_refused_by_name():
    with pytest.raises(InputError, match="Times of total_time must be"):
        notes_lib.from_sequence(music_pb2.NoteSequence(total_time=math.nan))
    sequence = music_pb2.NoteSequence()
    sequence.tempos.add(qpm=math.nan)
    with pytest.raises(InputError, match="Tempos must be finite numbers"):
        notes_lib.from_sequence(sequence)
