"""The key that a file states, as each format states it."""

import io

import mido
import musicxml
import note_seq
import numpy as np
import pytest
import small
import smf

from poph_tf.config import GenerationConfig
from poph_tf.data import key_signatures, matrices, midi, reading

# Tunes without B or B flat; find_key takes them for C major and for D minor.
IN_C, IN_D = "G4 E4 D4 C4", "A4 F4 E4 D4"


def xml(music, key):
    key = f"<key>{key}</key>" if key else ""
    first = musicxml.attributes(more=key)
    return musicxml.score(musicxml.notes(music), first=first).encode()


def abc(music, key):
    letters = " ".join(name[0] for name in music.split())
    return f"X:1\nM:4/4\nL:1/4\nK:{key}\n{letters}|\n".encode()


def krn(music, *signs):
    notes = [f"4{name[0].lower()}" for name in music.split()]
    return "\n".join(["**kern", "*M4/4", *signs, *notes, "*-"]).encode()


def mei(music, key):
    notes = [f'<note pname="{n[0].lower()}" oct="4" dur="4"/>' for n in music.split()]
    return (
        f'<mei><music><body><mdiv><score><scoreDef meter.count="4" meter.unit="4" '
        f'{key}><staffGrp><staffDef n="1" lines="5"/></staffGrp></scoreDef><section>'
        f'<measure><staff n="1"><layer n="1">{"".join(notes)}</layer></staff></measure>'
        "</section></score></mdiv></body></music></mei>"
    ).encode()


def mid(music, *signs):
    pitches = [{"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69}[n[0]]
               for n in music.split()]  # fmt: skip
    events = [(at, 0xFF, 0x59, 2, sharps % 256, minor) for at, sharps, minor in signs]
    for k, pitch in enumerate(pitches):
        events += [smf.on(480 * k, pitch), smf.off(480 * k + 480, pitch)]
    return smf.file(sorted(events, key=lambda event: event[0]))


def key_of(name, data, **options):
    (piece,) = reading.parse(data, name, reading.Options(**options)).values()
    return matrices.from_notes(reading.to_notes(piece)).key


@pytest.mark.parametrize(
    ("name", "data", "key"),
    [
        # A key with its mode counts, whatever the notes are.
        ("a.abc", abc(IN_C, "Dm"), "D minor"),
        ("a.abc", abc(IN_D, "C"), "C major"),
        ("a.abc", abc(IN_D, "Gmix clef=bass"), "G major"),
        ("a.abc", abc(IN_C, "D dor"), "D minor"),
        ("a.xml", xml(IN_D, "<fifths>0</fifths><mode>major</mode>"), "C major"),
        ("a.xml", xml(IN_C, "<fifths>0</fifths><mode>dorian</mode>"), "D minor"),
        ("a.mei", mei(IN_C, 'key.sig="1f" key.mode="minor"'), "D minor"),
        ("a.krn", krn(IN_C, "*k[b-]", "*d:"), "D minor"),
        ("a.krn", krn(IN_D, "*k[]", "*C:"), "C major"),
        ("a.krn", krn(IN_C, "*k[]", "*d:dor"), "D minor"),
        ("a.mid", mid(IN_C, (0, -1, 1)), "D minor"),
        # Without a mode the notes tell the major key from the relative minor.
        ("a.xml", xml(IN_D, "<fifths>-1</fifths>"), "D minor"),
        ("a.xml", xml("C4 A4 G4 F4", "<fifths>-1</fifths>"), "F major"),
        ("a.mei", mei(IN_D, 'key.sig="1f"'), "D minor"),
        ("a.krn", krn(IN_D, "*k[b-]"), "D minor"),
        ("a.mid", mid(IN_D, (0, -1, 0)), "D minor"),
        ("a.mid", mid("C4 A4 G4 F4", (0, -1, 0)), "F major"),
        # No sharps, flats or mode states no key, nor does C major in MIDI.
        ("a.xml", xml(IN_D, "<fifths>0</fifths>"), ""),
        ("a.abc", abc(IN_D, "none"), ""),
        ("a.abc", abc(IN_D, ""), ""),
        ("a.mid", mid(IN_D, (0, 0, 0)), ""),
        ("a.mid", mid(IN_D), ""),
        ("a.mid", mid(IN_D, (0, 9, 0)), ""),  # there is no such key
        # The first of several counts.
        ("a.mid", mid(IN_C, (0, -1, 1), (960, 1, 1)), "D minor"),
        ("a.krn", krn(IN_C, "*k[b-]", "*d:", "4d", "=", "*k[f#]", "*e:"), "D minor"),
    ],
)
def test_the_key_that_a_file_states(name, data, key):
    assert key_of(name, data) == key


def test_both_readers_of_midi_find_the_same_key():
    for sign in ((0, -1, 1), (0, -1, 0), (0, 0, 0)):
        data = mid(IN_D, sign)
        assert key_of("a.mid", data, reader="note_seq") == key_of("a.mid", data)
        (piece,) = reading.parse(data, "a.mid").values()
        again = midi.to_bytes(reading.notes_lib.to_sequence(piece))
        assert key_of("a.mid", again) == key_of("a.mid", data)


def test_given_music_is_in_the_key_of_its_file(tmp_path):
    model = small.model_config("voices", key=True)
    path = tmp_path / "tune.abc"

    def told(stated, **settings):
        path.write_bytes(abc(IN_C, stated))
        asked = GenerationConfig(fix=str(path), **settings)
        return asked.resolve(model).key(0)

    assert told("Dm") == "D minor" and told("none") == "C major"
    assert told("Dm", key="Bb major") == "Bb major"
    assert told("Dm", key="auto") == "D minor"


def test_a_piece_writes_its_key():
    cells = np.zeros((16, 128, 3), np.uint8)
    cells[:, 60] = (1, 0, 80)
    position = np.arange(16, dtype=np.uint8)

    def written(key):
        sequence = matrices.to_sequence(matrices.Matrices(cells, position, key=key))
        file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(sequence)))
        signs = [m.key for m in file.tracks[0] if m.type == "key_signature"]
        return signs, matrices.from_sequence(sequence).key

    for key, sign in (("G minor", "Gm"), ("Bb major", "Bb"), ("C major", "C")):
        assert written(key) == ([sign], key)
    assert written("") == ([], "")


def test_modes_are_those_of_note_seq():
    sign = note_seq.NoteSequence.KeySignature
    for name in ("MAJOR", "MINOR", "MIXOLYDIAN", "DORIAN", "PHRYGIAN", "LYDIAN"):
        mode = key_signatures.mode_of(name)
        assert mode == sign.Mode.Value(name) == getattr(key_signatures, name)
        # Every mode with one flat is written with one flat.
        sequence = note_seq.NoteSequence(ticks_per_quarter=480)
        tonic = key_signatures.tonic_of(-1, mode)
        sequence.key_signatures.add(key=tonic, mode=mode)
        assert b"\xff\x59\x02\xff" in midi.to_bytes(sequence)
    assert key_signatures.UNSAID == sign.NOT_SPECIFIED
