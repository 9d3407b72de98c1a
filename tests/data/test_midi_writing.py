"""How a sequence is written when MIDI cannot hold it unchanged."""

import io

import mido
import note_seq
import pytest

from poph_tf.data import midi, midi_bytes
from poph_tf.data import notes as notes_lib


@pytest.mark.parametrize(
    ("metre", "written"),
    [
        ((4, 4), (4, 4)),
        ((256, 16), (128, 8)),  # the numerator is one byte
        ((512, 512), (128, 128)),
        ((4, 6), (5, 8)),  # denominators are powers of two
        ((300, 1), (255, 1)),
    ],
)
def test_time_signatures_that_midi_lacks_become_the_nearest(tmp_path, metre, written):
    sequence = note_seq.NoteSequence(ticks_per_quarter=480)
    sequence.notes.add(pitch=60, velocity=64, end_time=1)
    sequence.time_signatures.add(numerator=metre[0], denominator=metre[1])
    midi.write(sequence, tmp_path / "a.mid")
    (read,) = midi.read(tmp_path / "a.mid").time_signatures
    assert (read.numerator, read.denominator) == written
    assert (sequence.time_signatures[0].numerator, metre[1]) == metre


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        # Half a bar or less gets the metre of its length, if MIDI has one.
        *((0.5, (1, 4)), (1.0, (2, 4)), (0.125, (1, 16)), (1 / 3, (8, 8))),
        # A longer pickup gets an equivalent metre; a whole bar is not a pickup.
        *((1.5, (8, 8)), (2.0, (4, 4)), (9.0, (4, 4))),
    ],
)
def test_a_metre_that_is_repeated_tells_of_a_pickup(seconds, written):
    sequence = note_seq.NoteSequence(ticks_per_quarter=480)
    sequence.notes.add(pitch=60, velocity=64, end_time=10)
    for time in (0, seconds):
        sequence.time_signatures.add(time=time, numerator=4, denominator=4)
    found = midi_bytes.parse(midi.to_bytes(sequence)).time_signatures
    head = mido.MidiFile(file=io.BytesIO(midi.to_bytes(sequence))).tracks[0]
    metres = [m for m in head if m.type == "time_signature"]
    assert (metres[0].numerator, metres[0].denominator) == written
    assert tuple(found[-1, 1:]) == (4, 4)


def test_finer_ticks_than_midi_has_become_those_of_scores():
    sequence = note_seq.NoteSequence(ticks_per_quarter=0x8000)
    sequence.notes.add(pitch=60, velocity=64, start_time=0.5, end_time=1)
    notes = midi_bytes.parse(midi.to_bytes(sequence))
    ticks = notes.ticks_per_quarter
    assert ticks == notes_lib.SCORE_TICKS_PER_QUARTER
    assert (notes.start_tick.tolist(), notes.end_tick.tolist()) == (
        [ticks],
        [2 * ticks],
    )


def test_keys_bends_and_controllers_are_written():
    sequence = note_seq.NoteSequence(ticks_per_quarter=480)
    sequence.notes.add(pitch=60, velocity=64, end_time=1, instrument=2)
    # D major has two sharps, E flat major three flats, A minor none, C minor three.
    for key, mode in ((2, 0), (3, 0), (9, 1), (0, 1)):
        sequence.key_signatures.add(time=0.5, key=key, mode=mode)
    for bend in (0, 100, -8192, 9000):
        sequence.pitch_bends.add(time=0.25, bend=bend, instrument=2)
    sequence.pitch_bends.add(bend=5, instrument=3)  # no note has this instrument
    sequence.control_changes.add(control_number=7, control_value=99, instrument=2)
    head, track = mido.MidiFile(file=io.BytesIO(midi.to_bytes(sequence))).tracks
    keys = [m for m in head if m.type == "key_signature"]
    assert [m.key for m in keys] == ["D", "Eb", "Am", "Cm"]
    assert [m.time for m in keys] == [480, 0, 0, 0]
    bends = [m for m in track if m.type == "pitchwheel"]
    assert [m.pitch for m in bends] == [0, 100, -8192, 8191]
    assert bends[0].time == 240
    (control,) = (m for m in track if m.type == "control_change")
    assert (control.control, control.value) == (7, 99)
