"""Scores become data sets: repeats as requested, repairs and time in the report."""

import musicxml as xml
from collections_of_songs import prepared, settings

from poph_tf.data import reading, scores
from poph_tf.data.preparation import conversion, sources, staging


def folder_with_a_score(tmp_path):
    root = tmp_path / "songs" / "style"
    root.mkdir(parents=True)
    quarter_tone = xml.note("C4", 8, alter="0.5")
    for k in range(3):  # three lengths, so that they are not one piece
        bodies = [quarter_tone + xml.BACKWARD, *[xml.notes("D4 E4 F4 G4")] * (k + 1)]
        (root / f"{k}.musicxml").write_text(xml.score(*bodies))
    return tmp_path / "songs"


def test_the_report_says_what_scores_took_and_what_was_mended(tmp_path):
    root = folder_with_a_score(tmp_path)
    info = prepared(root, tmp_path / "out", near_duplicates="keep")
    assert info.repairs == {"microtones rounded": 3}
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Converting scores took" in page
    mended = (tmp_path / "out" / "repairs.csv").read_text("utf-8").splitlines()
    each = [f"style/{k}.musicxml,microtones rounded" for k in range(3)]
    assert mended == ["source,repair", *each]
    # Bars of 16 steps: in each piece a repeated bar, then 1, 2 or 3 more.
    assert sum(s.num_steps for s in info.splits.values()) == 16 * (3 + 4 + 5)


def test_a_large_book_is_converted_in_parts_with_the_same_tunes(tmp_path, monkeypatch):
    tunes = [f"X:{k % 6 + 1}\nK:C\n{'CDEF' * (k + 1)}\n\n" for k in range(7)]
    (tmp_path / "book.abc").write_text("M:4/4\n\n" + "".join(tunes))
    (tmp_path / "one.abc").write_text(tunes[0])
    limits = settings(tmp_path, min_steps=1)

    def converted():
        items = list(sources.walk(limits))
        made = [c for item in items for c in conversion.convert(item, limits)]
        return len(items), [(c.source, c.record) for c in made]

    count, whole = converted()
    # The seventh tune has the number of the first.
    labels = ["1", "2", "3", "4", "5", "6", "1@7"]
    names = [*(f"book.abc#{label}" for label in labels), "one.abc"]
    assert (count, [name for name, _ in whole]) == (2, names)
    monkeypatch.setattr(sources, "_PART_BYTES", 50)
    count, parts = converted()
    assert count == 4 + 1
    assert parts == whole
    # An unreadable file is rejected once, not part by part.
    (tmp_path / "book.abc").write_bytes(b"\xff\0" * 200)
    assert [name for name, _ in converted()[1]] == ["book.abc", "one.abc"]


def test_progress_tells_how_much_of_a_book_is_done(tmp_path, monkeypatch):
    tunes = [f"X:{k}\nK:C\n{'CDEF' * (k + 1)}\n\n" for k in range(8)]
    (tmp_path / "book.abc").write_text("".join(tunes))
    monkeypatch.setattr(sources, "_PART_BYTES", len("".join(tunes)) // 4 + 1)
    position = sources.Position()
    found = [
        (item.part, position.share, position.files, position.total)
        for item in sources.walk(settings(tmp_path / "book.abc"), position)
    ]
    assert found == [((k, 4), k / 4, k / 4, 1 if k else None) for k in range(4)]
    # Each part is a chunk, reported when it is done.
    chunks = staging.chunks(sources.walk(settings(tmp_path / "book.abc")))
    assert [len(chunk.items) for chunk in chunks] == [1] * 4


def test_repeats_are_left_out_if_asked_for(tmp_path):
    root = folder_with_a_score(tmp_path)
    options = {"near_duplicates": "keep", "repeats": "once"}
    info = prepared(root, tmp_path / "out", **options)
    assert sum(s.num_steps for s in info.splits.values()) == 16 * (2 + 3 + 4)


def test_ornaments_are_played_if_asked_for(tmp_path):
    trill = "<notations><ornaments><trill-mark/></ornaments></notations>"
    (tmp_path / "a.musicxml").write_text(xml.score(xml.note("C4", 8, trill)))

    def notes_of(**options):
        limits = settings(tmp_path, min_steps=1, **options)
        (item,) = sources.walk(limits)
        (converted,) = conversion.convert(item, limits)
        return converted.statistics["notes"]

    assert notes_of() == 1
    # 32 notes, C and D in each of 16 steps.
    assert notes_of(ornaments="played") == 32


def test_scores_are_parsed_as_written_and_read_as_played(tmp_path):
    path = next(folder_with_a_score(tmp_path).rglob("0.musicxml"))
    assert len(scores.parse_one(path).measures) == 2
    assert [n.pitch for n in scores.read(path).notes] == [60, 60, 62, 64, 65, 67]
    assert reading.read_notes(path).names == {0: "A"}
