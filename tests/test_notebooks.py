"""The manual's notebooks: stored contents and their pages."""

import json

import pytest
from test_manual import ROOT, load_hooks

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
MAX_OUTPUT_BYTES = 100_000
notebooks = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)


def cells(path, kind="code"):
    found = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_every_notebook_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "tutorials" / "index.md").read_text("utf-8")
    nav = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert len(TUTORIALS) == 5
    for path in TUTORIALS:
        assert f"({path.name})" in index and f"tutorials/{path.stem}.md" in nav


@notebooks
def test_stored_outputs_are_small_and_without_errors(path):
    for cell in cells(path):
        assert cell["execution_count"] is None
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert len(json.dumps(output)) <= MAX_OUTPUT_BYTES


@notebooks
def test_stored_outputs_name_no_place_of_the_machine_that_made_them(path):
    text = path.read_text("utf-8")
    for place in ("/var/", "/tmp/", "/home/", "/root/", "site-packages"):
        assert place not in text


@notebooks
def test_links_of_notebooks_lead_somewhere(path):
    for cell in cells(path, "markdown"):
        for part in "".join(cell["source"]).split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            if not target.startswith("http"):
                assert (path.parent / target).exists(), target


def test_a_page_shows_text_code_and_the_richest_form_of_an_output():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["4\n", "5\n"]},
        {"data": {"text/html": ["<b>", "x</b>"], "text/plain": "x"}},
        {"data": {"image/png": "AAAA\n", "text/plain": "<Image>"}},
        {"data": {"text/plain": "<Piece>"}},
    ]
    code = {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": outputs}
    text = {"cell_type": "markdown", "source": ["# Title\n", "See [x](y.ipynb)."]}
    hooks = load_hooks()
    page = hooks.notebook_page({"cells": [text, code]})
    assert page.split("\n\n") == [
        "# Title\nSee [x](y.ipynb).",
        "```python\na = 1\na\n```",
        "```text\n4\n5\n```",
        '<div class="output"><b>x</b></div>',
        '<div class="output"><img alt="What the cell shows" '
        'src="data:image/png;base64,AAAA"></div>',
        "```text\n<Piece>\n```",
    ]
    assert "[x](y.md)" in hooks.on_page_markdown(page)
