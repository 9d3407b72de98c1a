"""The API over a real socket: pieces, music in and out, streams, hang-ups."""

import base64
import concurrent.futures
import http.client
import json
import time
import urllib.request

import pytest
import servers

import poph_tf
from poph_tf.data import midi_bytes
from poph_tf.models import pretrained
from poph_tf.serving.api import answers, scores, workers

VOICES = ["soprano", "alto", "tenor", "bass"]


def post(path, body, server=None, **headers):
    """The answer to a request that must succeed."""
    status, answer = (server or servers.composing()).ask(path, body, **headers)
    assert status == 200, answer
    return answer


def composed(seed=0, num_bars=2, **settings):
    """The only piece of an answer, as input for another request."""
    settings |= {"seed": seed, "num_bars": num_bars}
    (piece,) = post("v1/compose", settings)["pieces"]
    assert piece.pop("seed") == seed
    piece.pop("key")
    return piece


def of_track(score, track):
    return [note for note in score["notes"] if note["track"] == track]


def only(score, track):
    """The score with one of its tracks."""
    notes = [note | {"track": 0} for note in of_track(score, track)]
    return score | {"tracks": [score["tracks"][track]], "notes": notes}


def notes_of_matrices(piece):
    return scores.of_matrices(piece)["notes"]


def events(path, body):
    """The events of a stream, (name, data) each."""
    text = post(path, body, Accept="text/event-stream").decode()
    for block in text.split("\n\n"):
        if block.startswith("event"):
            name, data = block.split("\n")
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def form(settings, content, name):
    """A form's body and its content type."""
    parts = b""
    if settings is not None:
        head = b'--x\r\nContent-Disposition: form-data; name="settings"\r\n\r\n'
        parts += head + json.dumps(settings).encode() + b"\r\n"
    head = f'--x\r\nContent-Disposition: form-data; name="music"; filename="{name}"'
    parts += f"{head}\r\n\r\n".encode() + content + b"\r\n--x--\r\n"
    return parts, "multipart/form-data; boundary=x"


def test_addresses_of_tf_serving_say_where_no_saved_model_is_served():
    for path in ("v1/models/poph", "model_cards/1"):
        status, answer = servers.composing().ask(path)
        assert status == 404
        assert answer["error"] == "No SavedModel is served here; see --export_dir."


def test_the_models_are_listed_the_default_first():
    status, models = servers.composing().ask("v1/models")
    assert status == 200
    assert [model["name"] for model in models] == ["chorales", "scores"]
    assert [model["default"] for model in models] == [True, False]
    assert [track["name"] for track in models[0]["tracks"]] == VOICES
    assert "vary" in models[0]["tasks"]
    assert models[1]["tasks"] == ["compose", "continue"]
    assert (models[0]["min_pitch"], models[0]["max_pitch"]) == (36, 83)


@pytest.mark.parametrize("model", ["chorales", "scores"])
def test_the_piece_is_that_of_the_package(model):
    piece = composed(seed=7, model=model)
    composer = poph_tf.load(model)
    wanted = composer.compose(num_bars=2, seed=7).matrices
    assert piece["notes"] == notes_of_matrices(wanted)
    assert piece["num_steps"] == 32


def test_each_candidate_is_the_only_piece_of_its_seed_and_tells_its_key():
    composer = poph_tf.load("chorales")
    pieces = post("v1/compose", {"seed": 3, "candidates": 3, "num_bars": 1})["pieces"]
    keys = [composer.compose(1, seed=seed).key for seed in (3, 4, 5)]
    assert [piece.pop("key") for piece in pieces] == keys
    assert [piece.pop("seed") for piece in pieces] == [3, 4, 5]
    assert pieces == [composed(seed, 1) for seed in (3, 4, 5)]


def test_the_settings_of_an_answer_give_it_again():
    melody = only(composed(1), 0)
    answer = post("v1/harmonize", {"music": melody, "temperature": 1.1, "seed": 4})
    assert post("v1/harmonize", answer["settings"]) == answer
    assert answer["settings"]["music"] == melody
    assert answer["task"] == "harmonize"
    assert len(answer["model"]["id"]) == 16


def test_a_tune_is_harmonized_in_the_key_that_its_file_states():
    body = {"music": {"abc": "X:1\nM:4/4\nL:1/4\nK:Dm\nG E D C|\n"}, "seed": 4}
    answer = post("v1/harmonize", body)
    assert answer["pieces"][0]["key"] == "D minor"
    assert answer["settings"]["music"]["key"] == "D minor"
    assert post("v1/harmonize", answer["settings"]) == answer


def test_the_same_seed_gives_the_same_piece_whatever_else_runs():
    alone = composed(11, 2)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        others = [pool.submit(composed, 20 + k, 1 + k) for k in range(3)]
        same = [pool.submit(composed, 11, 2) for _ in range(2)]
        assert all(each.result() == alone for each in same)
        assert all(each.result() != alone for each in others)


def test_vary_keeps_the_tracks_that_are_not_drawn():
    music = composed(4)
    answer = post("v1/vary", {"music": music, "draw": ["bass"], "seed": 9})
    (piece,) = answer["pieces"]
    for track in range(3):
        assert of_track(piece, track) == of_track(music, track)
    assert of_track(piece, 3) != of_track(music, 3)
    # A piece with its seed and key is valid input.
    (again,) = post("v1/vary", {"music": piece, "draw": ["alto"]})["pieces"]
    assert of_track(again, 3) == of_track(piece, 3)


def test_a_lasso_draws_only_its_steps_of_its_tracks():
    music = composed(2)
    lasso = [
        {"track": "bass", "start": 16, "end": 32},
        {"track": "alto", "start": 0, "end": 8},
    ]
    body = {"music": music, "draw": lasso, "seed": 9, "candidates": 4}
    pieces = post("v1/vary", body)["pieces"]

    def sounding(score, track, first, last):
        return {
            (note["pitch"], step)
            for note in of_track(score, track)
            for step in range(note["start"], note["start"] + note["duration"])
            if first <= step < last
        }

    for track, first, last in ((0, 0, 32), (1, 8, 32), (2, 0, 32), (3, 0, 16)):
        kept = sounding(music, track, first, last)
        assert all(sounding(piece, track, first, last) == kept for piece in pieces)
    # One drawing may equal the original; four of two voices do not.
    assert any(
        sounding(piece, *span) != sounding(music, *span)
        for piece in pieces
        for span in ((1, 0, 8), (3, 16, 32))
    )


def test_infill_and_continue_keep_what_is_around():
    music = composed(5, 3)
    (piece,) = post("v1/infill", {"music": music, "bars": "2", "seed": 1})["pieces"]
    assert [n for n in piece["notes"] if n["start"] >= 33] == [
        n for n in music["notes"] if n["start"] >= 33
    ]
    (longer,) = post("v1/continue", {"music": music, "num_bars": 1})["pieces"]
    assert longer["num_steps"] == music["num_steps"] + 16


def test_bars_stream_and_join_to_the_piece():
    body = {"num_bars": 2, "seed": 8, "candidates": 2}
    *bars, (name, done) = events("v1/compose", body)
    assert name == "done"
    assert done == post("v1/compose", body)
    assert all(name == "bar" for name, _ in bars)
    for candidate, piece in enumerate(done["pieces"]):
        own = [bar for _, bar in bars if bar["candidate"] == candidate]
        assert [bar["bar"] for bar in own] == [0, 1]
        assert [bar["start"] for bar in own] == [0, 16]
        joined = []
        for note in (note for bar in own for note in bar["notes"]):
            if note.pop("tied", False):
                (before,) = [
                    n
                    for n in joined
                    if (n["track"], n["pitch"]) == (note["track"], note["pitch"])
                    and n["start"] + n["duration"] == note["start"]
                ]
                before["duration"] += note["duration"]
            else:
                joined.append(note)

        def key(note):
            return note["track"], note["start"], note["pitch"]

        assert sorted(joined, key=key) == sorted(piece["notes"], key=key)


def test_a_stream_of_continued_music_starts_after_it():
    music = composed(5, 2)
    body = {"music": music, "num_bars": 1}
    (_, bar), _ = events("v1/continue", body)
    assert (bar["bar"], bar["start"]) == (2, 32)


def test_a_file_is_read_rendered_and_read_again():
    music = composed(3) | {"composer": ""}  # which MIDI files do not hold
    midi = post("v1/render", {"music": music, "format": "midi"})
    body, kind = form(None, midi, "piece.mid")
    found = post("v1/read", body, Content_Type=kind)
    assert found == music
    text = base64.b64encode(midi).decode()
    assert post("v1/read", {"music": {"midi": text}}) == music
    named = {"data": text, "name": "piece.MID"}
    assert post("v1/read", {"music": named}) == music


def test_what_is_not_on_the_grid_is_told_beside_scores_and_files():
    tune = {"abc": "X:1\nM:2/4\nL:1/8\nK:C\n(3CDE F2|\n"}
    for path, kind in (("v1/read", "application/json"), ("v1/harmonize", "audio/midi")):
        request = urllib.request.Request(
            servers.composing().url + path,
            json.dumps({"music": tune}).encode(),
            {"Content-Type": "application/json", "Accept": kind},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.loads(answer.headers["X-Changes"])
        assert told == [
            "2 of 4 notes (50%) begin between two sixteenths (such as triplets): each "
            "is moved to the nearest."
        ]


def test_abc_is_read():
    tune = "X:1\nM:3/4\nL:1/4\nK:C\nC D E|\n"
    score = post("v1/read", {"music": {"abc": tune}})
    assert [note["pitch"] for note in score["notes"]] == [60, 62, 64]
    assert score["metre"] == "3/4"


def test_a_form_is_composed_with_as_json_is():
    music = composed(3) | {"composer": ""}
    midi = post("v1/render", {"music": music})
    body, kind = form({"draw": ["bass"], "seed": 2}, midi, "piece.mid")
    by_form = post("v1/vary", body, Content_Type=kind)
    by_json = post("v1/vary", {"music": music, "draw": ["bass"], "seed": 2})
    assert by_form == by_json


def test_accept_asks_for_a_midi_file():
    body = {"num_bars": 1, "seed": 6}
    midi = post("v1/compose", body, Accept="audio/midi")
    assert len(midi_bytes.parse(midi, "x.mid")) == len(composed(6, 1)["notes"])


def test_surprise_comes_by_note_and_by_step():
    # In the server's worker, TensorFlow is imported first.
    music = composed(3, 1)
    notes = scores.to_notes(scores.Score.model_validate(music))
    answer = workers.score(str(pretrained.path_of("chorales")), notes, "")
    assert len(answer["nats_per_step"]) == 16
    scored = [answers.ScoredNote.model_validate(note) for note in answer["notes"]]
    assert sorted((n.track, n.start, n.pitch, n.duration) for n in scored) == sorted(
        (n["track"], n["start"], n["pitch"], n["duration"]) for n in music["notes"]
    )
    assert all(note.nats > 0 for note in scored)


NO_MUSIC = {"notes": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("compose", b"{", 400, "The body must be JSON."),
        ("compose", b"[]", 400, "The body"),
        ("compose", {"bars_": 1}, 400, "bars_ is unknown here."),
        ("compose", {"num_bars": 0}, 400, "num_bars must be a whole number from 1"),
        ("compose", {"num_bars": True}, 400, "num_bars must be a whole number"),
        ("compose", {"temperature": "x"}, 400, "temperature must be a number from 0"),
        ("compose", b'{"style": "\\ud800"}', 400, "style"),
        ("compose", b'{"key": "\\ud800"}', 400, "key"),
        ("compose", b'{"\\ud800": 1}', 400, "unicode"),
        ("compose", b"[" * 100_000, 400, "The body must be JSON."),
        ("compose", b'{"seed": ' + b"9" * 5000 + b"}", 400, ""),
        ("compose", b'{"temperature": NaN}', 400, "temperature must be a number"),
        ("compose", {"candidates": 65}, 400, "candidates"),
        ("compose", {"style": "x"}, 400, "has no style 'x'"),
        ("compose", {"key": "H"}, 400, "key must be a tonic"),
        ("compose", {"music": NO_MUSIC}, 400, "music is unknown here."),
        ("compose", {"primer": "/etc/passwd"}, 400, "primer is unknown here."),
        ("compose", {"num_bars": 4000}, 400, "32768 steps"),
        ("compose", {"num_bars": 10**6}, 400, "32768 steps"),
        ("compose", {"num_bars": 64, "candidates": 64}, 400, "got 65536"),
        ("compose", {"model": "x"}, 404, "model must be one of chorales, scores"),
        ("continue", {}, 400, "music must be given."),
        ("continue", {"music": "/etc/passwd"}, 400, "music"),
        ("vary", {"music": NO_MUSIC, "draw": ["bass"]}, 400, "must have notes"),
        ("vary", {"music": {"midi": "?"}}, 400, "music.midi must be base64."),
        ("vary", {"music": {"midi": "AAAA"}}, 400, "music.mid: "),
        ("vary", {"music": {}}, 400, "must hold one of notes, midi"),
        ("read", {"music": {"data": "AAAA", "name": "x.exe"}}, 400, "suffix"),
        ("read", {"music": {"musicxml": "<a"}}, 400, "music.musicxml: "),
        ("harmonize", {"model": "scores", "music": "m"}, 400, "music"),
        ("render", {"music": NO_MUSIC, "format": "exe"}, 400, "format"),
        ("render", {"music": NO_MUSIC, "format": "pdf"}, 400, "must have notes"),
        ("nothing", {}, 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_answered_with_a_sentence(path, body, status, message):
    found, answer = servers.composing().ask(f"v1/{path}", body)
    assert (found, set(answer)) == (status, {"error"})
    assert message in answer["error"]


def test_a_model_without_tracks_cannot_harmonize_without_tensorflow():
    body = {"model": "scores", "music": composed(1, 1, model="scores")}
    status, answer = servers.composing().ask("v1/harmonize", body)
    assert status == 400
    assert "compose and continue only" in answer["error"]


def test_other_methods_and_types_are_refused():
    ask = servers.composing().ask
    assert ask("v1/compose", method="DELETE")[0] == 405
    assert ask("v1/compose", b"{}", Content_Type="text/plain")[0] == 415
    assert ask("v1/models/scores:predict", {})[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", servers.composing().port)
    connection.request("HEAD", "/healthz")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


def test_a_client_that_hangs_up_frees_its_place():
    with servers.Server("--max_waiting=1", model_dir="chorales") as server:
        for accept in ("application/json", "text/event-stream"):
            connection = occupy(server, accept)
            connection.close()
            until(lambda: server.ask("v1/compose", {"num_bars": 1})[0] == 200)


def occupy(server, accept):
    """A connection whose long piece takes the server's only place."""
    headers = {"Content-Type": "application/json", "Accept": accept}
    body = json.dumps({"num_bars": 1000})
    for wait in (0.3, 0.5, 1, 2, 3, 4, 5, 6):
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/v1/compose", body, headers)
        time.sleep(wait)  # If the short piece comes first, the long one is refused.
        if server.ask("v1/compose", {"num_bars": 1})[0] == 503:
            return connection
        connection.close()
    raise AssertionError("The long piece never began.")


def until(holds):
    """Waits until a condition holds."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("It never came.")
