"""MusicXML files: zips, encodings, suffixes, and files that are not scores."""

import io
import zipfile

import musicxml as xml
import pytest
from musicxml import WHOLE, rows, sequence_of

from poph_tf.data import mei, musicxml, reading
from poph_tf.errors import MusicFileError


def zipped(**members):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
        return file.getvalue()


def test_zips_are_read_with_and_without_a_container():
    text = xml.score(WHOLE)
    container = (
        '<container><rootfiles><rootfile full-path="b"/></rootfiles></container>'
    )
    files = {"META-INF/container.xml": container, "a.xml": "<score/>", "b": text}
    for members in (
        files,
        {"x.xml": text},
        {"META-INF/container.xml": "", "x.xml": text},
    ):
        assert rows(zipped(**members)) == [(60, 0, 4)]
    with pytest.raises(MusicFileError, match="not MusicXML that can be read"):
        rows(zipped(a="nothing"))
    with pytest.raises(MusicFileError, match="not MusicXML that can be read"):
        rows(zipped(**{"x.xml": text})[:-30])


@pytest.mark.parametrize("size", [999_999, 1_000_000])
def test_a_container_of_a_million_bytes_is_not_read(size):
    container = '<a><b full-path="b.xml"/></a>'
    container += " " * (size - len(container))
    scores = {f"{step}.xml": xml.score(xml.note(f"{step}4", 8)) for step in "ab"}
    found = rows(zipped(**{"META-INF/container.xml": container}, **scores))
    assert found == [(71 if size < 10**6 else 69, 0, 4)]


def test_a_zip_that_says_it_unpacks_to_too_much_is_refused_unread():
    text = xml.score(WHOLE)
    small = zipped(**{"x.xml": text})
    for size, reason in ((10**8 + 1, "more than 100,000,000 bytes"), (10**8, "not")):
        # Stored uncompressed: the two sizes are adjacent, last in the directory.
        claim = size.to_bytes(4, "little") * 2
        head, _, tail = small.rpartition(len(text).to_bytes(4, "little") * 2)
        with pytest.raises(MusicFileError, match=reason):
            rows(head + claim + tail)


NAMED = xml.score(WHOLE).replace(">A<", ">Flöte<")


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        *(("UTF-8", "utf-8"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16")),
        *(("ISO-8859-1", "latin-1"), ("UTF-8", "latin-1"), ("UTF-8", "utf-16")),
        ("UTF-16", "utf-8"),
    ],
)
def test_encodings_are_read_also_where_they_are_not_as_declared(declared, encoding):
    text = NAMED.replace('"1.0"', f'"1.0" encoding="{declared}"')
    sequence = sequence_of(text.encode(encoding))
    assert sequence.part_infos[0].name == "Flöte" and len(sequence.notes) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(("hello", "not MusicXML"), ("", "not MusicXML"), ("<html/>", "not MusicXML")),
        (xml.score(WHOLE)[:-30], "not MusicXML"),
        (xml.score(WHOLE.replace("8", "x")), "not MusicXML"),
        (xml.score(xml.note("r", 8)), "has no notes"),
    ],
)
def test_what_is_no_score_is_refused_with_a_reason(text, reason):
    with pytest.raises(MusicFileError, match=reason):
        rows(text)


@pytest.mark.parametrize("suffix", [".xml", ".musicxml", ".mxl"])
def test_each_suffix_is_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(xml.score(WHOLE))
    assert [n.pitch for n in reading.read(path).notes] == [60]


# 10^10 laughs, and an external entity: a file on the reader's machine.
_NAMES = "abcdefghijk"
LAUGHS = "".join(
    f'<!ENTITY {name} "{10 * f"&{before};"}">'
    for before, name in zip(_NAMES, _NAMES[1:], strict=False)
)


@pytest.mark.parametrize(
    "entities", [f'<!ENTITY a "{10 * "lo"}">{LAUGHS}', '<!ENTITY k SYSTEM "x">']
)
@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (mei.parse, "<mei><title>&k;</title></mei>"),
        (musicxml.parse, "<score-partwise><title>&k;</title></score-partwise>"),
    ],
)
def test_entities_neither_grow_nor_read_files(
    parse, text, entities, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("secret")
    with pytest.raises(MusicFileError, match=r"can be read \(parse\)"):
        parse(f"<!DOCTYPE x [{entities}]>{text}".encode(), "name")
