"""Tests of data preparation as a library: conversion, near-duplicates, splits."""

import csv
import gzip
import io
import os
import zipfile

import numpy as np
import pytest
import smf
from collections_of_songs import prepared, settings, shards, shares, song, write
from note_seq.protobuf import music_pb2

from poph_tf.cli.progress import Progress
from poph_tf.config import ExecutionOptions
from poph_tf.data import (
    examples,
    matrices,
    midi,
    midi_bytes,
    musicxml_values,
    reading,
)  # fmt: skip
from poph_tf.data import shards as shards_lib
from poph_tf.data.preparation import conversion, pipeline, report, sources
from poph_tf.errors import InputError


def pieces(folder, split=None):
    """Returns all pieces of a data set, by source."""
    found = {}
    for name in [split] if split else examples.SPLITS:
        for path in examples.shard_paths(folder, name):
            for _, data in shards_lib.read(path):
                piece = examples.deserialize(data)
                found[piece.source] = piece
    return found


def convert(data, name="a.mid", **options):
    item = sources.Item(source=name, style="s", data=data)
    return conversion.convert(item, settings("x", **options))


def test_a_folder_becomes_shards_that_hold_its_pieces(tmp_path):
    root = write(tmp_path / "songs", 30)
    (root / "bach" / "diary.mid").write_text("Dear diary")
    info = prepared(root, tmp_path / "out")
    assert info == examples.read_info(tmp_path / "out")
    assert info.styles == ("bach", "jazz")
    assert info.rejects == {"not a MIDI file (it does not begin with MThd)": 1}
    assert sum(s.num_pieces for s in info.splits.values()) == 30
    assert all(s.num_pieces for s in info.splits.values())
    found = pieces(tmp_path / "out")
    assert len(found) == 30
    for source, piece in found.items():
        sequence = midi.read(root / source)
        assert piece.matrices == matrices.from_sequence(sequence)
        assert piece.style == source.split("/")[0]
    total = {"bach": 0, "jazz": 0}
    for split in info.splits.values():
        for style, steps in split.steps_by_style.items():
            total[style] += steps
    assert sum(total.values()) == sum(s.num_steps for s in info.splits.values())
    assert total["bach"] == sum(
        len(p.matrices) for p in found.values() if p.style == "bach"
    )
    assert not (tmp_path / "out" / ".unfinished").exists()
    with open(tmp_path / "out" / "rejects.csv", newline="") as file:
        assert list(csv.reader(file))[1][0] == "bach/diary.mid"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count("<svg") == 10
    assert "not a MIDI file" in page


def test_order_chunks_and_containers_do_not_matter_to_the_records(tmp_path):
    root = write(tmp_path / "songs", 4)
    # note-seq ends all notes of a pitch at once; here none overlap.
    for path, seed in zip(sorted(root.rglob("*.mid")), (1, 2, 3, 7), strict=True):
        path.write_bytes(song(seed))
    prepared(root, tmp_path / "a", reader="fast")
    prepared(root, tmp_path / "b", reader="note_seq")
    assert shards(tmp_path / "a") == shards(tmp_path / "b")


def test_of_duplicates_the_smallest_name_stays(tmp_path):
    root = write(tmp_path / "songs", 5)
    (root / "jazz" / "copy.mid").write_bytes(song(2))  # bach/song 002.mid
    (root / "bach" / "a copy.mid").write_bytes(song(1))  # jazz/song 001.mid
    info = prepared(root, tmp_path / "out")
    assert info.num_duplicates == 2
    kept = set(pieces(tmp_path / "out"))
    assert "bach/song 002.mid" in kept and "jazz/copy.mid" not in kept
    assert "bach/a copy.mid" in kept and "jazz/song 001.mid" not in kept
    with open(tmp_path / "out" / "duplicates.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert ["jazz/copy.mid", "bach/song 002.mid"] in rows


def test_near_duplicates_share_a_split(tmp_path):
    root = tmp_path / "songs" / "x"
    root.mkdir(parents=True)
    for k in range(20):
        (root / f"{k}.mid").write_bytes(song(k))
        (root / f"{k} up.mid").write_bytes(song(k, shift=5))
        (root / f"{k} fast.mid").write_bytes(song(k, microseconds=400_000))
    info = prepared(tmp_path / "songs", tmp_path / "out", **shares(0.4, 0.3, 0.3))
    assert info.num_near_duplicates == 40
    where = {}
    for name in examples.SPLITS:
        for source in pieces(tmp_path / "out", name):
            where.setdefault(source.split("/")[1].split(".")[0].split()[0], set()).add(
                name
            )
    assert len(where) == 20
    assert all(len(splits) == 1 for splits in where.values())


def test_a_fingerprint_forgets_tempo_transposition_and_instrument_only():
    def fingerprint(data):
        (converted,) = convert(data)
        return converted.statistics["fingerprint"].tobytes()

    first = fingerprint(song(1))
    assert fingerprint(song(1, shift=-7)) == first
    assert fingerprint(song(1, microseconds=700_000)) == first
    assert fingerprint(song(1, offset=480)) == first
    assert fingerprint(song(1, notes=23)) != first
    assert fingerprint(song(2)) != first


def test_channels_are_asked_of_midi_files_only():
    (found,) = convert(b"X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n", "a.abc", channels=[1])
    assert found.reason == "channels are known only for MIDI files"


def test_a_file_that_needs_too_much_memory_is_rejected(monkeypatch):
    def parse(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "parse", parse)
    (found,) = convert(song(1))
    assert found.reason == "needs more memory than a worker has"


def test_an_empty_split_is_said(tmp_path):
    root = tmp_path / "songs"
    root.mkdir()
    # One bar: too short to be cut by time.
    (root / "a.mid").write_bytes(song(1, notes=4))
    info = prepared(root, tmp_path / "out")
    words = report.warnings(info)
    assert len(words) == 2
    assert all("split is empty: more distinct pieces" in w for w in words)


def test_pieces_off_the_grid_are_remarked_and_aligned_on_request(tmp_path):
    root = tmp_path / "songs"
    root.mkdir()
    for k in range(6):
        (root / f"{k}.mid").write_bytes(song(k, offset=50))
    info = prepared(root, tmp_path / "off", **shares(1.0, 0.0, 0.0))
    assert info.grid_error == pytest.approx(50 / 120, abs=1e-6)
    assert any("consider --align=auto" in word for word in report.warnings(info))
    aligned = prepared(root, tmp_path / "on", **shares(1.0, 0.0, 0.0), align="auto")
    assert aligned.grid_error == 0
    assert not any("--align" in word for word in report.warnings(aligned))
    page = (tmp_path / "on" / "report.html").read_text("utf-8")
    assert "Beats found" not in page
    prepared(root, tmp_path / "beats", **shares(1.0, 0.0, 0.0), align="beats")
    page = (tmp_path / "beats" / "report.html").read_text("utf-8")
    assert "<svg" in page.split("Beats found in ")[1]


def test_silence_around_the_notes_can_be_left_out():
    tune = b"X:1\nM:4/4\nL:1/4\nK:C\nz3 C|M:3/4\nE F G|z3|\n"
    kept = []
    for trim in (False, True):
        (made,) = convert(tune, "a.abc", trim_silence=trim)
        record = gzip.decompress(made.record)[12:-4]  # without length and checksums
        kept.append(examples.deserialize(record).matrices)
    whole, trimmed = kept
    assert len(whole) == 40 and len(trimmed) == 16
    np.testing.assert_array_equal(trimmed.cells, whole.cells[12:28])
    np.testing.assert_array_equal(trimmed.bar_position[:5], [12, 13, 14, 15, 0])
    assert trimmed.time_signatures == ((0, 4, 4), (4, 3, 4))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_bytes": 100}, "larger than 100 bytes"),
        ({"max_events": 10}, "more than 10 events"),
        ({"max_notes": 10}, "more than 10 notes"),
        ({"max_steps": 10}, "longer than 10 steps"),
        ({"min_steps": 1000}, "shorter than 1000 steps"),
        ({"min_polyphony": 9.0}, "fewer than 9 notes at a time"),
        ({"max_silence": 0.0}, "silent for more than 0% of its steps"),
        ({"metres": ("3/4",)}, "another metre than 3/4"),
        ({"programs": (5,)}, "no notes of the wanted instruments"),
        ({"channels": (2,)}, "no notes of the wanted instruments"),
    ],
)
def test_limits_and_filters_give_their_reason(tmp_path, options, reason):
    path = tmp_path / "a.mid"
    path.write_bytes(song(3))
    (found,) = sources.walk(settings(path, **options))
    (converted,) = conversion.convert(found, settings(path, **options))
    assert converted.reason == reason
    assert converted.record is None
    (converted,) = conversion.convert(
        sources.Item("a.mid", "s", path=path), settings(path)
    )
    assert converted.reason is None


def test_instruments_are_chosen_by_program_and_channel():
    events = [(0, 0xC0, 5), (0, 0xC1, 40)]
    events += [smf.on(0, 60, 64, 0), smf.on(0, 70, 64, 1), smf.on(0, 36, 64, 9)]
    events += [smf.off(480, 60, 0), smf.off(480, 70, 1), smf.off(480, 36, 9)]
    data = smf.file(events)

    def pitches(**options):
        (converted,) = convert(data, **options)
        return np.flatnonzero(converted.statistics["pitches"]).tolist()

    assert pitches() == [60, 70]
    assert pitches(programs=(40,)) == [70]
    assert pitches(channels=(1,)) == [60]
    assert pitches(drums=True) == [36, 60, 70]
    assert pitches(drums=True, channels=(10,)) == [36]


def test_a_piece_without_notes_is_rejected():
    (converted,) = convert(smf.file([]))
    assert converted.reason == "no notes"
    (converted,) = convert(smf.file([smf.on(0, 36, 64, 9), smf.off(9, 36, 9)]))
    assert converted.reason == "no notes of the wanted instruments"


def test_the_statistics_of_a_piece_are_worked_by_hand():
    events = [smf.on(0, 60, 64), smf.on(0, 64, 120), smf.off(240, 60)]
    events += [smf.off(480, 64), smf.on(960, 67, 8), smf.off(1080, 67)]
    (converted,) = convert(smf.file([smf.metre(0, 3, 2), *events]))
    statistics = converted.statistics
    assert (statistics["steps"], statistics["notes"], statistics["silent_steps"]) == (
        9,
        3,
        4,
    )
    assert statistics["sounding_cells"] == 7
    assert statistics["polyphony"].tolist()[:3] == [4, 3, 2]
    assert np.flatnonzero(statistics["velocities"]).tolist() == [1, 8, 15]
    assert (statistics["numerator"], statistics["denominator"]) == (3, 4)
    assert statistics["key"] in (0, 5, 7)  # C, E and G lie in C, F and G major


def test_note_sequences_and_tunes_become_pieces(tmp_path):
    sequence = music_pb2.NoteSequence(ticks_per_quarter=480)
    sequence.notes.add(pitch=60, velocity=64, start_time=0, end_time=1)
    name = "000001.notesequence"
    (converted,) = convert(sequence.SerializeToString(), name)
    assert converted.statistics["steps"] == 8
    assert convert(b"\xff\xff", name)[0].reason == "not a NoteSequence"
    sequence.quantization_info.steps_per_quarter = 4
    (converted,) = convert(sequence.SerializeToString(), name)
    assert converted.reason == "a quantized NoteSequence"
    tunes = b"X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:7\nM:3/4\nL:1/4\nK:G\nGAB|\n"
    both = convert(tunes, "a.abc")
    assert [c.source for c in both] == ["a.abc#1", "a.abc#7"]
    assert [int(c.statistics["steps"]) for c in both] == [16, 12]


def test_a_tune_that_cannot_be_read_costs_itself_only():
    head = "M:4/4\nL:1/4\nK:C\n"
    book = ["% A book", "C:Anon", f"X:1\n{head}CDEF|", f"X:2\n{head}z4|"]
    book += [f"X:1\n{head}GABc|", f"X:3\n{head}CC&|", "no tune", f"{head}C|"]
    came = convert("\n\n".join(book).encode(), "book.ABC")
    assert [(c.source, c.reason) for c in came] == [
        ("book.ABC#1", None),
        ("book.ABC#2", "has no notes"),
        ("book.ABC#1@3", None),
        ("book.ABC#3", None),
        ("book.ABC#@5", "not ABC that can be read (no number, X:)"),
    ]
    assert convert(b"K:C\nCDEF|\n", "one.abc")[0].record
    (empty,) = convert(b"% nothing\n\n", "one.abc")
    assert empty.reason == "not ABC that can be read (no tune)"


def test_a_rest_in_a_tune_is_silence():
    head = "X:1\nM:4/4\nL:1/4\nK:C#\n"
    body = 'C z/2 "fuzz"C/2 [L:1/8]z2 !zigzag!{xz}!pp!G>x | c4 % z\nw:zest\nz4 z2 z2|'
    (came,) = convert(f"{head}{body}\n".encode(), "a.abc")
    assert came.reason is None
    record = gzip.decompress(came.record)
    record = record[shards_lib.HEADER_BYTES : -shards_lib.FOOTER_BYTES]
    play = examples.deserialize(record).matrices.play
    assert np.flatnonzero(play.any(0)).tolist() == [61, 68, 73]
    assert np.flatnonzero(play[:, 61]).tolist() == [0, 1, 2, 3, 6, 7]
    assert np.flatnonzero(play[:, 68]).tolist() == [12, 13, 14]
    assert len(play) == 40


def test_a_compressed_score_that_would_fill_the_memory_is_rejected(monkeypatch):
    monkeypatch.setattr(musicxml_values, "_MAX_SCORE_BYTES", 1000)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("score.xml", b" " * 1001)
    (came,) = convert(stream.getvalue(), "bomb.mxl")
    assert came.reason == "unpacks to more than 1,000 bytes"


def test_the_readers_of_midi_give_the_same_records():
    # note-seq ends all notes of a pitch at once; here none overlap.
    for seed in (1, 2, 3, 7):
        (left,) = convert(song(seed))
        (right,) = convert(song(seed), reader="note_seq")
        assert left.record == right.record


def test_compiled_and_plain_scans_agree():
    for seed in range(3):
        plain = midi_bytes.parse(song(seed))
        quick = midi_bytes.parse(song(seed), compiled=True)
        for name in ("start_tick", "end_tick", "pitch", "velocity", "instrument"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(quick, name))


def test_the_same_settings_find_the_data_set_complete(tmp_path):
    root = write(tmp_path / "songs", 6)
    first = prepared(root, tmp_path / "out")
    before = shards(tmp_path / "out")
    assert prepared(root, tmp_path / "out") == first
    with pytest.raises(InputError, match="holds another data set"):
        prepared(root, tmp_path / "out", drums=True)
    assert shards(tmp_path / "out") == before


def test_a_finished_set_is_kept_but_a_changed_input_is_told_of(tmp_path):
    root = write(tmp_path / "songs", 4)
    assert not pipeline.is_made(settings(root), tmp_path / "out")
    info = prepared(root, tmp_path / "out")
    assert pipeline.is_made(settings(root), tmp_path / "out")
    assert pipeline.input_changes(settings(root), info) is None
    (root / "notes.txt").write_text("no music")
    assert pipeline.input_changes(settings(root), info) is None
    os.utime(root / "bach" / "song 000.mid", (1, 1))
    assert "modification times" in pipeline.input_changes(settings(root), info)
    (root / "bach" / "song 000.mid").write_bytes(song(77, notes=25))
    assert "bytes then" in pipeline.input_changes(settings(root), info)
    write(tmp_path / "songs", 1, first=9)
    told = pipeline.input_changes(settings(root), info)
    assert told == "4 files then, 5 now"
    assert prepared(root, tmp_path / "out") == info


def test_an_output_within_the_input_is_not_read(tmp_path):
    write(tmp_path, 4)
    info = prepared(tmp_path, tmp_path / "out")
    before = shards(tmp_path / "out")
    assert pipeline.input_changes(settings(tmp_path), info) is None
    options = ExecutionOptions(num_workers=1)
    pipeline.prepare(settings(tmp_path), tmp_path / "out", options, overwrite=True)
    assert shards(tmp_path / "out") == before
    assert not examples.read_info(tmp_path / "out").rejects


def test_nothing_to_make_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Found no music files in"):
        prepared(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "a.mid").write_text("hello")
    with pytest.raises(InputError, match=r"None of the 1 files .*\(not a MIDI file"):
        prepared(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_estimates_the_number_of_files_and_the_time_left(tmp_path):
    root = write(tmp_path / "songs", 150)
    seen = []

    class Recorder(Progress):
        def update(self, done, text="", *, total=None):
            seen.append((done, total))
            super().update(done, text, total=total)

    log = io.StringIO()
    progress = Recorder(None, "files", log)
    pipeline.prepare(settings(root), tmp_path / "out", progress=progress)
    assert [done for done, _ in seen][-1] == 150
    assert seen[-1][1] == pytest.approx(150, rel=0.02)
    assert log.getvalue() == "150 files, 0 rejected\n"
    assert seen[0] == (0, None)
    line = progress.line(75, "0 rejected", progress.since + 10)
    assert "files" in line and "left" in line
