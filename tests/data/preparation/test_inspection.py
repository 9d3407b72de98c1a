"""Tests of inspecting data sets and of aligning pieces with the grid."""

import subprocess
import sys

import numpy as np
import pytest
import smf
from collections_of_songs import ROOT, song, write

from poph_tf.config import DataConfig
from poph_tf.data import examples, matrices, midi, midi_bytes
from poph_tf.data import notes as notes_lib
from poph_tf.data.preparation import alignment, downbeats, inspection, pipeline
from poph_tf.errors import InputError
from poph_tf.rendering import saving

TOOL = ROOT / "tools" / "inspect_records.py"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    root = write(folder / "songs", 12)
    pipeline.prepare(DataConfig(input=(str(root),)), folder / "data")
    return folder / "data"


def test_a_record_is_found_by_place_source_and_id(data_dir):
    first = inspection.find(data_dir, "train")
    assert inspection.find(data_dir, "train", index=0).id == first.id
    assert inspection.find(data_dir, None, text=first.id[:12]).id == first.id
    assert inspection.find(data_dir, None, text="song 004").source.endswith("004.mid")
    with pytest.raises(InputError, match="no record number 99 in the train split"):
        inspection.find(data_dir, "train", index=99)


def test_a_record_becomes_a_midi_file_again(data_dir, tmp_path):
    piece = inspection.find(data_dir, None, text="song 004")
    saving.save(piece.matrices, tmp_path / "a.mid")
    again = matrices.from_sequence(midi.read(tmp_path / "a.mid"))
    assert again == piece.matrices


def test_matrices_print_as_text():
    made = smf.file(
        [smf.on(0, 60), smf.off(480, 60), smf.on(480, 60), smf.off(600, 60)]
    )
    piece = examples.Piece(
        matrices.from_notes(midi_bytes.parse(made)), "style", "source", "id"
    )
    assert inspection.picture_in_text(piece) == " 60 C4  |o---o"
    assert "notes: 2, pitches 60..60" in inspection.heading(piece)


def test_damage_is_found_and_named(data_dir, tmp_path):
    assert inspection.verify(data_dir) == inspection.Damage(12, [])
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in data_dir.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    shard = next(copy.glob("train-00001*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0x10
    shard.write_bytes(data)
    damage = inspection.verify(copy)
    assert any(shard.name in problem for problem in damage.problems)
    assert any("train must have" in problem for problem in damage.problems)


def test_the_command_shows_and_verifies(data_dir, tmp_path):
    def run(*arguments):
        command = [sys.executable, str(TOOL), f"--data_dir={data_dir}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert "styles: bach, jazz" in run().stdout
    shown = run("--find=song 004", "--text", "--midi=a.mid")
    assert "style: bach" in shown.stdout and "|" in shown.stdout
    assert (tmp_path / "a.mid").exists()
    assert run("--verify").stdout == "12 records, all valid.\n"
    failed = run("--find=nothing")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("offset", [0, 17, 45, 60, 100])
def test_a_piece_off_the_grid_is_moved_onto_it(offset):
    straight = midi_bytes.parse(song(1))
    late = midi_bytes.parse(song(1, offset=offset))
    moved, found = alignment.align(late)
    shift = (moved.start_tick - straight.start_tick) % 120
    assert set(shift.tolist()) == {0}
    assert found.error_after == 0
    assert alignment.phase(late.start_tick / 120)[1] == pytest.approx(1)
    assert (found.error_before > 0.1) == (offset > 0)
    distance = np.abs(moved.start_tick - late.start_tick)
    assert distance.max() == min(offset, 120 - offset)


def test_no_positions_have_no_phase_and_no_distance():
    assert alignment.phase(np.zeros(0)) == (0, 0)
    assert alignment.grid_error(np.zeros(0)) == 0


def test_few_onsets_without_a_phase_are_left_alone():
    random = np.random.default_rng(0)
    events = []
    for k, start in enumerate(np.sort(random.integers(0, 9_000, 15)).tolist()):
        events += [smf.on(start, 60 + k)]
    events += [smf.off(9_900, 60 + k) for k in range(15)]
    notes = midi_bytes.parse(smf.file(events))
    moved, found = alignment.align(notes)
    assert found.found is None
    assert alignment.phase(notes.start_tick / 120)[1] < 0.3
    np.testing.assert_array_equal(moved.start_tick, notes.start_tick)


@pytest.mark.parametrize("beats", [3, 4])
@pytest.mark.parametrize("upbeat", [0, 1, 2])
def test_bars_are_found_where_the_file_says_none(beats, upbeat):
    notes, _ = alignment.align(in_bars(beats, upbeat, smf.metre(0, 1, 2)))
    assert notes.time_signatures[-1].tolist() == [480 * upbeat, beats, 4]
    piece = matrices.from_notes(notes)
    lines = np.flatnonzero(piece.bar_position == 0)
    assert lines[:2].tolist() == [4 * upbeat, 4 * (upbeat + beats)]


def in_bars(beats, upbeat, *metres):
    """Notes of sixteen bars with a strong bass; time signatures as events."""
    events = list(metres)
    for k in range(beats * 16):
        strong = (k - upbeat) % beats == 0
        start = 480 * k
        root = 36 + (k - upbeat) // beats * 5 % 12
        events += [smf.on(start, 72 + k % 5, 60)]
        events += [smf.on(start, root, 100)] if strong else []
        events += [smf.off(start + 240, 72 + k % 5)]
        events += [smf.off(start + 479, root)] if strong else []
    return midi_bytes.parse(smf.file(sorted(events, key=lambda event: event[0])))


def test_a_metre_in_the_file_is_kept():
    notes = midi_bytes.parse(
        smf.file([smf.metre(0, 3, 2), smf.on(0, 60), smf.off(9, 60)])
    )
    aligned, _ = alignment.align(notes)
    assert aligned.time_signatures.tolist() == [[0, 3, 4]]


@pytest.mark.parametrize(("change", "kept"), [(1, False), (480 * 40, True)])
def test_a_metre_counts_if_most_of_the_piece_is_in_it(change, kept):
    metres = smf.metre(0, 4, 2), smf.metre(change, 1, 2)
    notes, _ = alignment.align(in_bars(4, 1, *metres))
    last = [change, 1, 4] if kept else [480, 4, 4]
    assert notes.time_signatures[-1].tolist() == last


def test_the_strengths_of_a_bar_count_its_metrical_levels():
    expected = {
        (4, 4): [4, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0],
        (3, 4): [3, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0],
        (2, 4): [3, 0, 1, 0, 2, 0, 1, 0],
        (6, 8): [3, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0],
    }
    for metre, strengths in expected.items():
        assert downbeats.strengths(metre).tolist() == strengths
    assert downbeats.strengths((1, 4)) is None
    assert downbeats.strengths((5, 64)) is None


@pytest.mark.parametrize("metre", [(1, 4), (4, 4)])
@pytest.mark.parametrize("late_ticks", [0, 120, 390, 840, 1750])
def test_bar_lines_follow_music_that_begins_anywhere(metre, late_ticks):
    """Oom-pah bars in 4/4, shifted by any number of ticks (a sixteenth has 120)."""
    events = [smf.metre(0, metre[0], 2)]
    for k in range(64):
        start = late_ticks + 480 * k
        chord = [(72, 60), (76, 60)] if k % 2 else [(36 + 5 * (k // 4) % 12, 100)]
        events += [smf.on(start, *note) for note in chord]
        events += [smf.off(start + 420, pitch) for pitch, _ in chord]
    notes, _ = alignment.align(midi_bytes.parse(smf.file(events)))
    piece = matrices.from_notes(notes)
    bass = np.flatnonzero(np.diff(piece.cells[:, :60, 0].any(axis=1), prepend=False))
    first = bass[0]
    assert piece.bar_position[first] in (0, 8)  # the half bar is equally plausible
    assert first == round(late_ticks / 120)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("metre", [(1, 2), (4, 2)])
def test_beats_are_found_on_any_step_of_the_quarter(steps, metre):
    # Shifted by some steps and a third: off the grid and off the file's beats.
    notes = in_bars(4, 1, smf.metre(0, *metre))
    notes, _ = alignment.align(notes_lib.shifted(notes, 120 * steps + 40))
    assert notes.time_signatures[-1].tolist() == [120 * (4 + steps), 4, 4]
    lines = np.flatnonzero(matrices.from_notes(notes).bar_position == 0)
    assert lines[:2].tolist() == [4 + steps, 20 + steps]
