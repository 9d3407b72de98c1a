"""Runs the manual's notebooks and checks that they finish without an error.

    python tools/run_notebooks.py                          # all of docs/tutorials
    python tools/run_notebooks.py --write --notebooks=docs/tutorials/look-inside.ipynb

--write stores the outputs in the files, without what changes from run to run: times,
program messages and cell numbers. Each notebook runs in its own empty folder.
"""

import pathlib
import sys
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf import files
from poph_tf.cli import commands
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_list("notebooks", [], "Notebook files; empty: all of docs/tutorials.")
flags.DEFINE_bool("write", False, "Store the outputs in the files.")
flags.DEFINE_integer("timeout", 900, "Time limit per cell in seconds.", lower_bound=1)
TUTORIALS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "tutorials"
# Limit for a notebook with all its outputs.
MAX_BYTES = 400_000


def main(_: Sequence[str]) -> None:
    """Runs the given notebooks, or all."""
    paths = [pathlib.Path(name) for name in FLAGS.notebooks]
    for path in paths or sorted(TUTORIALS.glob("*.ipynb")):
        notebook = run(path, FLAGS.timeout)
        text = stored(notebook)
        if len(text) > MAX_BYTES:
            raise InputError(f"{path}: {len(text)} bytes, at most {MAX_BYTES}.")
        if FLAGS.write:
            files.write(path, text)
        print(f"{path.name}: {len(notebook.cells)} cells, {len(text) // 1000} kB")


def run(path: pathlib.Path, timeout: int) -> Any:
    """Runs a notebook in a new kernel and an empty folder; returns it with outputs.

    Raises:
        InputError: If there is no such notebook.
        nbclient.exceptions.CellExecutionError: If a cell raises.
    """
    import nbclient
    import nbformat

    if not path.is_file():
        raise InputError(f"There is no notebook {path}.")
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = nbclient.NotebookClient(
            notebook, timeout=timeout, kernel_name="python3", resources=resources
        )
        client.execute()
    return notebook


def stored(notebook: Any) -> str:
    """The text of a notebook file, without what changes from run to run."""
    import nbformat

    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    notebook.metadata["kernelspec"]["name"] = "python3"
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = _joined(_plain(out) for out in cell.outputs if _stays(out))
    return nbformat.writes(notebook) + "\n"


def _joined(outputs: Iterable[Any]) -> list[Any]:
    """Joins consecutive stdout outputs, which may be split differently in each run."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.get("name") == joined[-1].get("name") == "stdout":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _stays(output: Any) -> bool:
    """Whether to keep an output: not a message, and not a cleared progress bar."""
    empty = output.get("data", {}).get("text/html") == ""
    return output.get("name") != "stderr" and not empty


def _plain(output: Any) -> Any:
    output.pop("transient", None)
    if "execution_count" in output:
        output.execution_count = None
    return output


if __name__ == "__main__":
    commands.run(main)
