"""Runs the commands in the README and the manual as they are written.

    python tools/try_docs.py                                  # all pages; an hour or so
    python tools/try_docs.py --pages=README.md,docs/how-to/compose.md

Each command of each ```sh block runs in a copy of the checkout, with small stand-ins
for the reader's own files. Commands that would take hours are stopped by SIGTERM after
a while, as a reader could; servers run until the end of their page. A comment above a
block

    <!-- not run: needs Docker -->

skips it; --list shows these, with their reasons. Without --install, `pip` and
`python -m venv` do nothing, and the current environment is used.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence

import mido
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.cli import commands
from poph_tf.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_list("pages", [], "Only these pages; empty: all.")
flags.DEFINE_bool("list", False, "List the commands without running them.")
flags.DEFINE_bool("install", False, "Let pip and venv install for real.")
flags.DEFINE_float("stop_after", 60, "Seconds after which long commands are stopped.")
flags.DEFINE_float("limit", 900, "Seconds after which any other command fails.")


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags: time limits in seconds, and whether pip and venv really install."""

    stop_after: float = 60.0
    limit: float = 900.0
    install: bool = False


# These run in the background for the rest of their page.
SERVERS = r"-m poph_tf\.serve\b|mkdocs serve"
# These may take hours. When stopped, each leaves what the next command reads.
LONG = r"-m poph_tf\.train\b|--watch=|"
LONG += r"tools/(ablate|benchmark\w*|measure_\w+|train_beats)\.py"
# tools/full_test.sh runs these itself.
ELSEWHERE = r"^\./tools/\w+\.sh"
# Training stops after the current step, which takes long on a busy machine.
STOP_SECONDS = 300
RUN, STOPPED, SERVER, LEFT_OUT = "run", "stopped", "server", "left out"
# What to do with a command; the first pattern found in it counts.
HOWS = {ELSEWHERE: LEFT_OUT, SERVERS: SERVER, LONG: STOPPED, "": RUN}
# Names in the manual for the reader's own files, linked to stand-ins.
LINKS = {
    "runs/mine": "runs/bach",
    "runs/x": "runs/bach",
    "runs/choir": "poph_tf/pretrained/chorales",
    "data/x": "data/bach",
    "songs": "given",
    "maestro": "given",
}
ARCHIVES = ("pop909.tar.gz", "lmd_full.tar.gz")
MUSIC, MELODIES = ("mine", "bass", "piece"), ("melody", "tune")
QUARTET = {"Soprano": "Vln 1", "Alto": "Vln 2", "Tenor": "Vla", "Bass": "Vc"}
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+?) -->\s*)?^ *```(?:sh|bash)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_PROLOGUE = """
pip() { echo "pip $*"; }
python() {
  case "$1 ${2:-} ${3:-}" in "-m venv "*|"-m pip "*) ;; *) command python "$@" ;; esac
}
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a page, what to do with it, and why."""

    page: str
    text: str
    how: str
    why: str = ""


def split(code: str) -> Iterator[str]:
    """The commands of a block; lines joined by quotes or a backslash are one."""
    lines: list[str] = []
    for line in code.splitlines():
        lines.append(line)
        text = "\n".join(lines).strip()
        if text.endswith(("\\", "|")) or not _is_whole(text):
            continue
        if text and not text.startswith("#"):
            yield text
        lines = []


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:  # an unclosed quotation mark
        return False
    return True


def commands_of(page: str, text: str) -> list[Command]:
    """All commands of a page."""
    found = []
    for block in _BLOCK.finditer(text):
        for command in split(block["code"]):
            how = next(how for known, how in HOWS.items() if re.search(known, command))
            why = "tools/full_test.sh runs it" if how == LEFT_OUT else ""
            if block["why"]:
                how, why = LEFT_OUT, block["why"]
            found.append(Command(page, command, how, why))
    return found


def pages() -> list[str]:
    """All pages, README first: it makes files that other pages use."""
    manual = sorted((ROOT / "docs").rglob("*.md"))
    first = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]
    order = dict.fromkeys([*first, ROOT / "BUILD.md", *manual])
    return [path.relative_to(ROOT).as_posix() for path in order]


def prepare(place: pathlib.Path, options: Options) -> None:
    """Copies the checkout and creates the stand-ins."""
    skipped = shutil.ignore_patterns(
        "__pycache__", ".*", "build", "dist", "runs", "data", "out", "quickstart"
    )
    # The package has its own folder `data`.
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in skipped(str(ROOT), [path.name]):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, place / path.name, ignore=ignored)
        elif path.is_file():
            shutil.copy(path, place)
    # As in a real checkout: it has the environment, and this folder is imported.
    (place / ".venv").symlink_to(pathlib.Path(sys.prefix))
    _shell(
        "python tools/fetch_corpus.py --corpus=bach --output_dir=corpus", place, options
    )
    tunes = sorted((place / "corpus").rglob("*.mid"))[:40]
    (place / "given").mkdir()
    for tune in tunes:
        shutil.copy(tune, place / "given")
    for name in ARCHIVES:
        with tarfile.open(place / name, "w:gz") as archive:
            archive.add(place / "given", "songs")
    for folder in ("runs", "data"):
        (place / folder).mkdir()
    for name, target in LINKS.items():
        (place / name).symlink_to(place / target)


def lay_music(place: pathlib.Path) -> None:
    """Creates the files of a reader; the page before may have overwritten some."""
    tune = sorted((place / "given").iterdir())[0]
    for name in MUSIC:
        shutil.copy(tune, place / f"{name}.mid")
    quartet = mido.MidiFile(tune)
    alone = mido.MidiFile(ticks_per_beat=quartet.ticks_per_beat)
    others = tuple(QUARTET)[1:]
    alone.tracks += [track for track in quartet.tracks if track.name not in others]
    for name in MELODIES:
        alone.save(place / f"{name}.mid")
    for message in [message for track in quartet.tracks for message in track]:
        if message.type == "track_name":
            message.name = QUARTET.get(message.name, message.name)
    quartet.save(place / "quartet.mid")


def _start(
    text: str, place: pathlib.Path, log: pathlib.Path, options: Options
) -> subprocess.Popen[str]:
    known = {**os.environ, "PYTHONPATH": str(place), "VIRTUAL_ENV": sys.prefix}
    known["PATH"] = f"{pathlib.Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    code = ("" if options.install else _PROLOGUE) + text
    with log.open("w") as file:
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", code], cwd=place, env=known, text=True,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends a command and its children, as Ctrl-C or an orchestrator would."""
    _signal(process, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    # The shell ends at once; training saves first.
    while _signal(process, 0) and time.monotonic() < end:
        process.poll()
        time.sleep(0.2)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[str], number: int) -> bool:
    """Sends a signal to a command and its children; False if all have ended."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _shell(text: str, place: pathlib.Path, options: Options) -> None:
    log = place / "stand-ins.log"
    if _start(text, place, log, options).wait():
        raise InputError(f"{text}: {log.read_text('utf-8')[-2000:]}")


def try_command(command: Command, place: pathlib.Path, options: Options) -> str:
    """Runs a command; returns what went wrong, or an empty string."""
    log = place / "command.log"
    process = _start(command.text, place, log, options)
    try:
        if command.how == STOPPED:
            _wait_for_settings(command, place, process, options)
        code = process.wait(
            options.stop_after if command.how == STOPPED else options.limit
        )
    except subprocess.TimeoutExpired:
        _stop(process)
        if command.how == STOPPED and "Traceback" not in log.read_text("utf-8"):
            return ""
        code = -1
    shown = log.read_text("utf-8", errors="replace")[-1500:]
    return f"exit code {code}\n{shown}" if code else ""


def _wait_for_settings(
    command: Command, place: pathlib.Path, process: subprocess.Popen[str],
    options: Options,
) -> None:  # fmt: skip
    """Waits until training has started: stopped earlier, it would leave no model."""
    found = re.search(r"poph_tf\.train .*--model_dir=(\S+)", command.text)
    end = time.monotonic() + options.limit
    while found and process.poll() is None and time.monotonic() < end:
        if (place / found[1] / "config.json").exists():
            return
        time.sleep(1)


def serve(
    command: Command, place: pathlib.Path, options: Options
) -> tuple[subprocess.Popen[str], str]:
    """Starts a server; returns it and what went wrong, if anything."""
    log = place / f"server-{time.monotonic_ns()}.log"
    process = _start(command.text, place, log, options)
    end = time.monotonic() + options.limit
    while process.poll() is None and time.monotonic() < end:
        text = log.read_text("utf-8", errors="replace")
        address = re.search(r"https?://[\w.]+:\d+", text)
        if address and _is_ready(address[0]):
            return process, ""
        time.sleep(1)
    return process, f"does not serve:\n{log.read_text('utf-8')[-1500:]}"


def _is_ready(address: str) -> bool:
    """Whether a server has loaded its models, or has no /readyz."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False


def try_page(
    found: Sequence[Command], place: pathlib.Path, options: Options
) -> list[str]:
    """Runs the commands of a page; prints and returns the failures."""
    failures: list[str] = []
    servers: list[subprocess.Popen[str]] = []
    for command in found:
        begun, problem = time.monotonic(), ""
        if command.how == SERVER:
            # The next server uses the port of the previous one.
            while servers:
                _stop(servers.pop())
            process, problem = serve(command, place, options)
            servers.append(process)
        elif command.how != LEFT_OUT:
            problem = try_command(command, place, options)
        what = "FAILED" if problem else command.how
        took = time.monotonic() - begun
        print(f"{what:8} {took:5.0f} s  {command.page}: {command.text}", flush=True)
        if problem:
            print(problem, flush=True)
            failures.append(command.text)
    while servers:
        _stop(servers.pop())
    return failures


def main(_: Sequence[str]) -> None:
    """Runs all pages.

    Raises:
        InputError: If a command failed.
    """
    found = {
        page: commands_of(page, (ROOT / page).read_text("utf-8"))
        for page in FLAGS.pages or pages()
    }
    if FLAGS.list:
        for command in [command for page in found.values() for command in page]:
            print(f"{command.how:8} {command.page}: {command.text}  {command.why}")
        return
    options = Options(FLAGS.stop_after, FLAGS.limit, FLAGS.install)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        prepare(place, options)
        for commands_here in found.values():
            lay_music(place)
            failures += try_page(commands_here, place, options)
    hows = [command.how for page in found.values() for command in page]
    counts = ", ".join(f"{hows.count(h)} {h}" for h in dict.fromkeys(hows))
    print(f"{len(hows)} commands: {counts}; {len(failures)} failed.")
    if failures:
        raise InputError(f"{len(failures)} commands of the manual fail.")


if __name__ == "__main__":
    commands.run(main)
