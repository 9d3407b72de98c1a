"""Tries what an extra of the package is for.

    cd empty_folder && python .../tools/try_extra.py score piece.mid

tools/try_wheel.sh runs it in an environment with only this extra; the package is the
one installed there. A copy of this folder must not be beside the package.
"""

import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

TOOLS = pathlib.Path(__file__).parent


def fast(piece: str) -> None:
    """Compiles the scan of MIDI bytes."""
    from poph_tf.data import midi_scan

    assert all(midi_scan.compiled()), "not compiled"


def archives(piece: str) -> None:
    """Prepares a .7z archive and a table."""
    import py7zr
    from pyarrow import parquet, table

    with py7zr.SevenZipFile("a.7z", "w") as file:
        file.write(piece, "a.mid")
    column = table({"midi": [pathlib.Path(piece).read_bytes()]})
    parquet.write_table(column, "b.parquet")
    _tool("make_tfrecords", "--input=a.7z,b.parquet", "--output_dir=data")
    info = json.loads(pathlib.Path("data/dataset_info.json").read_text("utf-8"))
    # The same piece twice: both were read.
    assert info["num_duplicates"] == 1 and not info["rejects"], info


def beam(piece: str) -> None:
    """Prepares a file in a pipeline."""
    _tool("make_tfrecords", f"--input={piece}", "--output_dir=data", "--runner=beam")


def corpus(piece: str) -> None:
    """Writes a corpus of music21."""
    _tool("fetch_corpus", "--corpus=trecento", "--limit=2", "--output_dir=midi")
    assert list(pathlib.Path("midi").rglob("*.mid")), "no files"


def media(piece: str) -> None:
    """Draws a piano roll."""
    _save(piece, "roll.png")


def score(piece: str) -> None:
    """Writes and engraves a score."""
    _save(piece, "a.musicxml", "a.svg", "a.pdf", "a.score.png")


def serve(piece: str) -> None:
    """Asks a server for a bar."""
    command = [sys.executable, "-m", "poph_tf.serve", "--port=0", "--nowarm_up"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout, "a pipe was asked for"
            lines = iter(server.stdout.readline, "")
            url = next(line for line in lines if "http://" in line).split()[-1]
            _wait_for(f"{url}readyz")
            request = urllib.request.Request(
                f"{url}v1/compose",
                json.dumps({"num_bars": 1}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=300) as answer:
                assert json.load(answer), "an empty answer"
        finally:
            server.terminate()
    assert server.returncode == 0, server.returncode


def live(piece: str) -> None:
    """Plays without ports, and checks that the MIDI library is installed."""
    import rtmidi  # noqa: F401

    command = [sys.executable, "-m", "poph_tf.live", "--measure_latency=2"]
    subprocess.run([*command, "--call_bars=1"], check=True)


def _wait_for(url: str) -> None:
    """Polls until the models are loaded."""
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=30).close()
            return
        except urllib.error.HTTPError:
            time.sleep(1)
    raise TimeoutError(url)


def _tool(name: str, *arguments: str) -> None:
    command = [sys.executable, str(TOOLS / f"{name}.py"), *arguments, "--num_workers=1"]
    subprocess.run(command, check=True)


def _save(piece: str, *names: str) -> None:
    import poph_tf

    for name in names:
        poph_tf.Piece.from_file(piece).save(name)
        assert pathlib.Path(name).stat().st_size > 500, f"{name} is empty"


if __name__ == "__main__":
    known = (fast, archives, beam, corpus, media, score, serve, live)
    {trial.__name__: trial for trial in known}[sys.argv[1]](sys.argv[2])
