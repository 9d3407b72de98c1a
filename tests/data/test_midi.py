"""Tests of reading and writing music files; the fast reader against note-seq."""

import io

import mido
import note_seq
import numpy as np
import pytest
import smf
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.data import matrices, midi, midi_bytes, midi_chunks, midi_note_seq
from poph_tf.data import notes as notes_lib
from poph_tf.errors import InputError, MusicFileError

METRES = [(4, 2), (3, 2), (6, 3), (7, 3), (2, 1), (5, 4)]


def fast(data):
    return matrices.from_notes(midi_bytes.parse(data))


def reference(data):
    """Reads the same with note-seq's own reader."""
    return matrices.from_sequence(note_seq.midi_to_note_sequence(data))


def assert_same(left, right):
    np.testing.assert_array_equal(left.cells, right.cells)
    np.testing.assert_array_equal(left.bar_position, right.bar_position)
    assert left.tempo_qpm == right.tempo_qpm
    assert left.time_signatures == right.time_signatures


def hand_made():
    """3/4 then 4/4, two tempi, a replay, two velocities, two tracks."""
    head = [
        smf.metre(0, 3, 2),
        smf.tempo(0, 1_000_000),
        smf.tempo(1440, 500_000),
        smf.metre(1440, 4, 2),
    ]
    melody = [
        smf.on(0, 60, 80),
        smf.off(480, 60),
        smf.on(480, 60, 100),
        smf.on(960, 60, 0),  # counts as a note-off
        smf.on(1440, 64, 30),
        smf.off(1560, 64),
    ]
    bass = [smf.on(1440, 40, 127, 1), smf.off(3360, 40, 1)]
    return smf.file(head, melody, bass)


def test_a_hand_made_file_becomes_these_matrices(tmp_path):
    path = tmp_path / "hand.mid"
    path.write_bytes(hand_made())
    piece = matrices.from_sequence(midi.read(path))
    assert len(piece) == 28
    expected = np.zeros((28, 128, 3), np.uint8)
    expected[0:4, 60] = (1, 0, 80)
    expected[4:8, 60] = (1, 0, 100)
    expected[4, 60, 1] = 1
    expected[12, 64] = (1, 0, 30)
    expected[12:28, 40] = (1, 0, 127)
    np.testing.assert_array_equal(piece.cells, expected)
    assert piece.bar_position.tolist() == [*range(12), *range(16)]
    assert piece.tempo_qpm == 84.0  # seven quarters in five seconds
    assert_same(piece, fast(hand_made()))


def test_a_written_file_reads_back_as_the_same_piece(tmp_path):
    piece = fast(hand_made())
    midi.write(matrices.to_sequence(piece), tmp_path / "a.mid")
    assert matrices.from_sequence(midi.read(tmp_path / "a.mid")) == piece
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]


def test_an_upbeat_survives_a_midi_file(tmp_path):
    cells = np.zeros((20, 128, 3), np.uint8)
    cells[:, 60] = (1, 0, 64)
    bar = np.array([12, 13, 14, 15, *range(16)], np.uint8)
    piece = matrices.Matrices(cells, bar)
    midi.write(matrices.to_sequence(piece), tmp_path / "a.mid")
    back = matrices.from_sequence(midi.read(tmp_path / "a.mid"))
    assert back.bar_position.tolist() == bar.tolist()


@st.composite
def files(draw):
    """Draws well-formed MIDI files with all that makes pairing notes hard."""
    ticks_per_quarter = draw(st.sampled_from([24, 96, 120, 220, 480, 1000]))
    events = st.tuples(
        st.integers(0, 40),
        st.sampled_from(["on", "off", "off0", "program", "pedal", "metre", "tempo"]),
        st.integers(58, 61),
        st.integers(1, 127),
        st.sampled_from([0, 0, 1, 9]),
    )
    tracks = []
    for number in range(draw(st.integers(1, 3))):
        now, track = 0, []
        for gap, what, pitch, value, channel in draw(st.lists(events, max_size=40)):
            now += gap * ticks_per_quarter // 24
            first = number == 0
            track += _event(now, what, pitch, value, channel, first)
        for channel in (0, 1, 9):
            track += [smf.off(now + 5, pitch, channel) for pitch in range(58, 62)]
        tracks.append(track)
    kind = 0 if len(tracks) == 1 else 1
    return smf.file(*tracks, ticks_per_quarter=ticks_per_quarter, kind=kind)


def _event(now, what, pitch, value, channel, first):
    if what == "on":
        return [smf.on(now, pitch, value, channel)]
    if what == "off":
        return [smf.off(now, pitch, channel)]
    if what == "off0":
        return [smf.on(now, pitch, 0, channel)]
    if what == "program":
        return [(now, 0xC0 | channel, value)]
    if what == "pedal":
        return [(now, 0xB0 | channel, 64, value)]
    # note-seq reads these in the first track only.
    if first and what == "metre":
        return [smf.metre(now, *METRES[value % len(METRES)])]
    return [smf.tempo(now, 300_000 + 7001 * value)] if first else []


def events_of(data):
    """Yields (track, tick, message) of a file, read by mido."""
    for number, track in enumerate(mido.MidiFile(file=io.BytesIO(data)).tracks):
        now = 0
        for message in track:
            now += message.time
            yield number, now, message


def counted(data):
    """Sounding ticks of each pitch: where more notes have started than ended."""
    opened, sounding, ended = {}, {}, {}
    for track, tick, message in events_of(data):
        ended[track] = tick
        if message.type in ("note_on", "note_off"):
            key = (track, message.channel, message.note)
            starts = opened.setdefault(key, [])
            if message.type == "note_on" and message.velocity:
                starts.append(tick)
            elif starts:
                begin = starts.pop(0)
                span = range(begin, max(tick, begin + 1))
                sounding.setdefault((key[1] == 9, key[2]), set()).update(span)
    return {pitch: ticks for (drum, pitch), ticks in sounding.items() if not drum}


@settings(max_examples=100, deadline=None)
@given(files())
def test_a_pitch_sounds_while_more_notes_have_begun_than_ended(data):
    notes = midi_bytes.parse(data)
    # A grid as fine as the ticks.
    piece = matrices.from_notes(notes, notes.ticks_per_quarter)
    sounding = counted(data)
    for pitch in range(128):
        ticks = sorted(sounding.get(pitch, ()))
        assert np.flatnonzero(piece.play[:, pitch]).tolist() == ticks
    onsets = matrices.onsets(piece.cells)
    struck = {
        (tick, message.note)
        for _, tick, message in events_of(data)
        if message.type == "note_on" and message.velocity and message.channel != 9
    }
    assert set(zip(*(k.tolist() for k in onsets.nonzero()), strict=True)) == struck


@settings(max_examples=60, deadline=None)
@given(files(), st.booleans())
def test_a_file_written_from_what_was_read_reads_the_same(data, compiled):
    notes = midi_bytes.parse(data, compiled=compiled)
    again = midi_bytes.parse(midi.to_bytes(notes_lib.to_sequence(notes)))
    assert sorted(zip(*columns(notes), strict=True)) == sorted(
        zip(*columns(again), strict=True)
    )
    assert matrices.from_notes(notes) == matrices.from_notes(again)
    assert again.repairs == {}


def columns(notes):
    names = ("start_tick", "pitch", "velocity", "program", "is_drum")
    # Overlapping notes of one pitch may end in another order, so ends are left out.
    return [getattr(notes, name).tolist() for name in names]


@settings(max_examples=40, deadline=None)
@given(files())
def test_midi_read_equals_note_seq_note_by_note(data):
    ours = midi_note_seq.parse(data, "a.mid")
    theirs = note_seq.midi_to_note_sequence(data)
    assert list(ours.notes) == list(theirs.notes)
    assert list(ours.tempos) == list(theirs.tempos)
    assert ours.total_time == theirs.total_time


@settings(max_examples=40, deadline=None)
@given(files())
def test_running_status_changes_nothing(data):
    file = midi_bytes.parse(data)
    again = midi_bytes.parse(with_running_status(data))
    for name in ("start_tick", "end_tick", "pitch", "velocity", "program"):
        np.testing.assert_array_equal(getattr(again, name), getattr(file, name))


def with_running_status(data):
    """Returns the same file with as few status bytes as possible."""
    made = []
    for begin, end in midi_chunks.find(data, "a.mid").bounds:
        at, body, running = begin, b"", None
        while at < end:
            start = at
            while data[at] >= 0x80:
                at += 1
            at += 1
            body += data[start:at]
            status = data[at]
            size = data[at + 2] + 3 if status == 0xFF else 2 + (status >> 4 != 0xC)
            skip = 1 if status == running else 0
            body += data[at + skip : at + size]
            running = status if status != 0xFF else running
            at += size
        made.append(b"MTrk" + len(body).to_bytes(4, "big") + body)
    return data[:14] + b"".join(made)


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        # First in, first out.
        ([("on", 0), ("on", 40), ("off", 80), ("off", 90)], [(0, 80), (40, 90)]),
        ([("on", 0), ("on", 8), ("off", 8), ("off", 12)], [(0, 8), (8, 12)]),
        # A note of zero length lasts one tick.
        ([("on", 8), ("off", 8), ("on", 20), ("off", 24)], [(8, 9), (20, 24)]),
        ([("on", 8), ("on", 8), ("off", 8), ("off", 12)], [(8, 9), (8, 12)]),
        # A note-off without a note ends nothing.
        ([("off", 3), ("on", 5), ("off", 9), ("off", 11)], [(5, 9)]),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_note_offs_end_the_oldest_note(events, spans, compiled):
    data = smf.file([getattr(smf, what)(tick, 60) for what, tick in events])
    notes = midi_bytes.parse(data, compiled=compiled)
    found = zip(notes.start_tick.tolist(), notes.end_tick.tolist(), strict=True)
    assert sorted(found) == spans
    assert notes.repairs == {}


def test_tempi_and_time_signatures_count_in_any_track():
    notes = [smf.on(0, 60), smf.off(4800, 60)]
    data = smf.file(notes, [smf.tempo(0, 250_000), smf.metre(0, 3, 2)])
    assert fast(data).tempo_qpm == 240.0
    assert fast(data).time_signatures == ((0, 3, 4),)
    short = (0, 0xFF, 0x58, 2, 3, 2)  # without the metronome fields
    assert fast(smf.file([short, *notes])).time_signatures == ((0, 3, 4),)
    for power, denominator in ((0, 1), (7, 128)):
        data = smf.file([smf.metre(0, 3, power), *notes])
        assert fast(data).time_signatures == ((0, 3, denominator),)


@pytest.mark.parametrize(
    "event",
    [
        (0, 0xFF, 0x59, 2, 100, 0),  # a key with a hundred sharps
        (0, 0xFF, 0x58, 4, 0, 2, 24, 8),  # 0/4
        (0, 0xFF, 0x58, 4, 4, 200, 24, 8),  # 4/2^200
        (0, 0xFF, 0x51, 3, 0, 0, 0),  # zero time per quarter
        (0, 0xFF, 0x58, 1, 4),  # half a time signature
    ],
)
def test_impossible_meta_events_do_not_cost_the_notes(event):
    data = smf.file([event, smf.on(0, 60), smf.off(480, 60)])
    assert len(midi_note_seq.parse(data, "a").notes) == 1
    assert fast(data).play[:, 60].sum() == 4


BROKEN = {
    "empty": (b"", "not a MIDI file"),
    "text": (b"Dear diary, today", "not a MIDI file"),
    "header": (b"MThd\0\0\0\6\0\1", "truncated: the header is cut off"),
    "short header": (
        b"MThd\0\0\0\5" + hand_made()[8:],
        "the header is shorter than 6 bytes",
    ),
    "no tracks": (hand_made()[:14], "no tracks"),
    "format 9": (smf.file([], kind=9), "unknown MIDI format"),
    "unknown frames": (smf.file([], ticks_per_quarter=0xE028), "no ticks per quarter"),
    "division 0": (smf.file([], ticks_per_quarter=0), "no ticks per quarter"),
    "no status": (smf.file([(0, 60, 64)]), "a data byte without a status byte"),
    "high pitch": (smf.file([(0, 0x90, 200, 64)]), "a pitch above 127"),
    "long delta": (
        smf.file()[:10] + b"\0\1\1\xe0MTrk\0\0\0\x08" + b"\xff" * 4 + b"\x7f\xff\x2f\0",
        "delta time",
    ),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_broken_files_raise_with_name_and_reason(case, tmp_path):
    data, reason = BROKEN[case]
    path = tmp_path / "broken.mid"
    path.write_bytes(data)
    with pytest.raises(MusicFileError, match=reason) as caught:
        midi.read(path)
    assert caught.value.path == str(path)
    assert str(path) not in caught.value.reason
    with pytest.raises(MusicFileError, match=reason):
        midi_bytes.parse(data, "broken.mid")


def test_the_latest_possible_tick_costs_no_memory():
    far = 2**28 - 1
    data = smf.file([smf.on(0, 60), smf.off(far, 60)])
    notes = midi_note_seq.parse(data, "a.mid").notes
    assert [(n.pitch, round(n.end_time)) for n in notes] == [(60, round(far / 960))]
    late = smf.file([smf.on(k * far, 60) for k in range(12)])
    with pytest.raises(MusicFileError, match="longer than .* ticks"):
        midi_bytes.parse(late)


def test_more_events_than_allowed_are_refused():
    data = smf.file([smf.on(k, 60) for k in range(100)])
    with pytest.raises(MusicFileError, match="more than 50 events"):
        midi_bytes.parse(data, max_events=50)


def test_other_files_are_refused_by_suffix(tmp_path):
    for name, reason in (("a.txt", "suffix must be"), ("gone.mid", "No such file")):
        if name == "a.txt":
            (tmp_path / name).write_text("hello")
        with pytest.raises(MusicFileError, match=reason):
            midi.read(tmp_path / name)
    with pytest.raises(InputError, match="Cannot write"):
        midi.write(note_seq.NoteSequence(), tmp_path / "no folder" / "a.mid")


def test_the_helper_of_these_tests_writes_what_mido_reads():
    file = mido.MidiFile(file=io.BytesIO(hand_made()))
    kinds = [m.type for m in file.tracks[0]]
    assert kinds == ["time_signature", "set_tempo", "set_tempo", "time_signature"] + [
        "end_of_track"
    ]


def test_a_tempo_slower_than_any_music_is_read_as_the_slowest(tmp_path):
    path = tmp_path / "slow.mid"
    events = [smf.tempo(0, 2**24 - 1), smf.on(0, 60, 80), smf.off(480, 60)]
    path.write_bytes(smf.file(events))
    piece = matrices.from_file(path)
    midi.write(matrices.to_sequence(piece), path)
    assert piece.tempo_qpm == 10.0 and matrices.from_file(path) == piece
    slower = note_seq.NoteSequence(ticks_per_quarter=480)
    slower.tempos.add(qpm=0.0004)
    slower.notes.add(pitch=60, velocity=64, end_time=1e5)
    piece = matrices.from_sequence(slower)
    matrices.validate(piece)
    midi.write(matrices.to_sequence(piece), path)
    assert midi.read(path).tempos[0].qpm == pytest.approx(10.0)


def test_a_piece_longer_than_any_music_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "far.mid"
    late = [smf.on(2**27, 60, 80), smf.off(2**27 + 1, 60)]
    path.write_bytes(smf.file(late, ticks_per_quarter=1))
    with pytest.raises(MusicFileError, match="far.mid: longer than 1000000 steps"):
        matrices.from_file(path)
