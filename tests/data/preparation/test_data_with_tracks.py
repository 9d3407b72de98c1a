"""Data sets with tracks, made from files; a piece without one gets a reason."""

import dataclasses

import pytest
import smf
from collections_of_songs import prepared, settings, write

from poph_tf.config.tracks import CHOIR
from poph_tf.data import dataset, examples
from poph_tf.data.preparation import conversion, inspection, pipeline, sources

VOICES = {"soprano": (72, 74), "alto": (67, 65), "tenor": (64, 62), "bass": (48, 50)}
NAMES = tuple(VOICES)


def choir(*left_out, shift=0, double=None):
    """A MIDI file of two chords with a track for each voice, program 52."""
    tracks = []
    for channel, (name, pitches) in enumerate(VOICES.items()):
        if name in left_out:
            continue
        events = [(0, 0xFF, 3, len(name), *name.encode()), (0, 0xC0 | channel, 52)]
        for k, pitch in enumerate(pitches):
            own = [pitch + shift, *([pitch + shift + 4] if name == double else [])]
            events += [smf.on(480 * k, p, channel=channel) for p in own]
            events += [smf.off(480 * (k + 1), p, channel=channel) for p in own]
        tracks.append(events)
    return smf.file(*tracks)


def convert(data, **options):
    item = sources.Item(source="a.mid", style="s", data=data)
    (made,) = conversion.convert(item, settings("x", **options))
    return made


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (choir("alto"), "no notes for the track alto"),
        (choir(double="tenor"), "several notes at once in the voice tenor"),
    ],
)
def test_a_piece_that_cannot_fill_the_tracks_has_a_reason(data, reason):
    assert convert(data, tracks=NAMES).reason == reason
    assert convert(data).reason is None


def test_a_data_set_has_the_tracks_of_its_pieces(tmp_path):
    folder = tmp_path / "songs" / "choir"
    folder.mkdir(parents=True)
    for shift in range(5):
        (folder / f"{shift}.mid").write_bytes(choir(shift=shift))
    (folder / "trio.mid").write_bytes(choir("alto"))
    info = prepared(tmp_path / "songs", tmp_path / "out", tracks=NAMES)
    assert (info.format_version, info.tracks) == (2, CHOIR)
    assert info.rejects == {"no notes for the track alto": 1}
    assert examples.read_info(tmp_path / "out") == info
    paths = [
        str(tmp_path / "out" / name)
        for split in info.splits.values()
        for name in split.shards
    ]
    pieces = list(dataset.read_pieces(paths))
    assert len(pieces) == 5
    assert not inspection.verify(tmp_path / "out").problems
    assert "tracks: soprano, alto, tenor, bass" in inspection.heading(pieces[0])
    for piece in pieces:
        shift = int(piece.source.split("/")[-1][0])
        stack = piece.matrices.stack(CHOIR)
        for voice, pitches in enumerate(VOICES.values()):
            for beat, pitch in enumerate(pitches):
                assert stack[4 * beat, voice, pitch + shift].tolist() == [1, 0, 64]
        assert piece.matrices.play.sum() == stack[..., 0].sum() == 4 * 2 * 4


def test_data_sets_without_tracks_keep_their_key_and_format(tmp_path):
    info = prepared(write(tmp_path / "songs", 12), tmp_path / "out")
    assert (info.format_version, info.tracks) == (1, ())
    merged = settings("a")
    assert pipeline.settings_key(merged) == pipeline.settings_key(
        dataclasses.replace(merged, tracks=("merged",))
    )
    assert pipeline.settings_key(merged) != pipeline.settings_key(
        dataclasses.replace(merged, tracks=NAMES)
    )
