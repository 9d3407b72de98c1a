"""How the manual's commands are found; tools/full_test.sh runs them."""

import mido
import pytest
from systems import needs_posix

from tools import try_docs

# It stops commands with all their children, by signals.
pytestmark = needs_posix

PAGE = """# A page

```sh
python -m poph_tf.generate --seed=1     # a comment
# only a comment
curl -d '{"a":
  1}' \\
  address | cat
python -m poph_tf.serve --port=1
```

<!-- not run: needs Docker -->
```sh
docker compose up
```

```python
print("not a command")
```

```sh
python -m poph_tf.train --data_dir=x
./tools/test.sh
```
"""


def test_commands_are_found_with_what_is_to_be_done():
    found = try_docs.commands_of("page.md", PAGE)
    assert [(command.text.split()[0], command.how) for command in found] == [
        ("python", "run"),
        ("curl", "run"),
        ("python", "server"),
        ("docker", "left out"),
        ("python", "stopped"),
        ("./tools/test.sh", "left out"),
    ]
    assert found[1].text == "curl -d '{\"a\":\n  1}' \\\n  address | cat"
    assert found[3].why == "needs Docker"


def test_every_block_of_the_manual_is_whole():
    """Nothing is left over, as after an unmatched quotation mark."""
    for page in try_docs.pages():
        text = (try_docs.ROOT / page).read_text("utf-8")
        for block in try_docs._BLOCK.finditer(text):
            lines = [line.strip() for line in block["code"].splitlines()]
            last = [line for line in lines if line and not line.startswith("#")][-1]
            commands = list(try_docs.split(block["code"]))
            assert commands[-1].endswith(last), (page, last)


def test_most_commands_of_the_readme_are_run():
    text = (try_docs.ROOT / "README.md").read_text("utf-8")
    hows = [command.how for command in try_docs.commands_of("README.md", text)]
    assert hows.count("left out") == 2  # the scripts that full_test.sh runs itself
    assert len(hows) >= 15


@pytest.mark.parametrize(("code", "failed"), [("exit 3", True), ("true", False)])
def test_a_command_that_fails_is_told(tmp_path, code, failed):
    command = try_docs.Command("page.md", code, "run")
    problem = try_docs.try_command(command, tmp_path, try_docs.Options())
    assert problem.startswith("exit code 3") == failed


@pytest.mark.parametrize(
    ("code", "failed"), [("sleep 30", False), ("echo Traceback; sleep 30", True)]
)
def test_long_work_that_is_stopped_has_not_failed_unless_it_raised(
    tmp_path, code, failed
):
    command = try_docs.Command("page.md", code, "stopped")
    options = try_docs.Options(stop_after=0.5)
    assert bool(try_docs.try_command(command, tmp_path, options)) == failed


def test_training_is_stopped_only_once_it_has_begun(tmp_path):
    begin = "sleep 1; mkdir -p m; touch m/config.json; sleep 30"
    code = f"{begin} # poph_tf.train --model_dir=m"
    command = try_docs.Command("page.md", code, "stopped")
    options = try_docs.Options(stop_after=0.1)
    assert not try_docs.try_command(command, tmp_path, options)
    assert (tmp_path / "m" / "config.json").exists()


def test_a_server_runs_beside_the_next_command_and_ends_with_its_page(tmp_path):
    code = """
import http.server, pathlib
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"Serving http://127.0.0.1:{server.server_port}", flush=True)
pathlib.Path("up").touch()
server.serve_forever()
"""
    (tmp_path / "serve.py").write_text(code)
    page = [
        try_docs.Command("page.md", "python serve.py", "server"),
        try_docs.Command("page.md", "test -e up", "run"),
    ]
    assert not try_docs.try_page(page, tmp_path, try_docs.Options())
    page[0] = try_docs.Command("page.md", "exit 1", "server")
    assert try_docs.try_page(page[:1], tmp_path, try_docs.Options()) == ["exit 1"]


def test_what_a_stopped_command_still_saves_is_waited_for(tmp_path):
    waits = "import signal, time; signal.signal(15, lambda *_: None); signal.pause()"
    saves = "time.sleep(1); open('saved', 'w')"
    # With a second command bash stays, and ends at once.
    code = f'python -c "{waits}; {saves}"; true'
    command = try_docs.Command("page.md", code, "stopped")
    assert try_docs.try_command(command, tmp_path, try_docs.Options(stop_after=1)) == ""
    assert (tmp_path / "saved").exists()


def test_a_readers_melody_is_one_part(tmp_path):
    quartet = mido.MidiFile(ticks_per_beat=480)
    for name in ("", *try_docs.QUARTET):
        quartet.tracks.append(
            mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        )
    (tmp_path / "given").mkdir()
    quartet.save(tmp_path / "given" / "chorale.mid")
    try_docs.lay_music(tmp_path)
    parts = {
        path.stem: [track.name for track in mido.MidiFile(path).tracks]
        for path in tmp_path.glob("*.mid")
    }
    assert parts["melody"] == parts["tune"] == ["", "Soprano"]
    assert parts["piece"] == ["", "Soprano", "Alto", "Tenor", "Bass"]
    assert parts["quartet"] == ["", "Vln 1", "Vln 2", "Vla", "Vc"]
