"""Release checks: versions, changelog, and the workflows' scripts."""

import os
import pathlib
import re

import yaml

import poph_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SEMVER = r"\d+\.\d+\.\d+(?:-[\w.]+)?"
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def changelog():
    """The changelog's sections: heading, and the kinds of change below it."""
    text = (ROOT / "docs" / "changelog.md").read_text("utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return [
        (part.splitlines()[0], re.findall(r"^### (.+)$", part, re.MULTILINE))
        for part in parts
    ]


def jobs():
    for path in WORKFLOWS:
        yield from yaml.safe_load(path.read_text("utf-8"))["jobs"].items()


def test_the_version_is_semantic_and_the_newest_of_the_changelog():
    assert re.fullmatch(SEMVER, poph_tf.__version__)
    released = [heading for heading, _ in changelog() if heading != "Unreleased"]
    assert released[0].split(" - ")[0] == poph_tf.__version__


def test_the_changelog_keeps_its_form():
    """https://keepachangelog.com: newest first, with dates, and kinds by name."""
    sections = changelog()
    headings = [heading for heading, _ in sections if heading != "Unreleased"]
    for heading in headings:
        assert re.fullmatch(rf"{SEMVER}(?: - \d{{4}}-\d\d-\d\d)?", heading), heading
    versions = [tuple(map(int, re.findall(r"\d+", h)[:3])) for h in headings]
    assert versions == sorted(versions, reverse=True)
    for _, kinds in sections:
        assert [kind for kind in KINDS if kind in kinds] == kinds


def test_workflows_only_call_scripts_that_are_here():
    called = []
    for _, job in jobs():
        for step in job["steps"]:
            if "run" in step:
                script = re.fullmatch(r"(?:\w+=\S+ )*\./(\S+)(?: tests)?", step["run"])
                assert script, step["run"]
                assert os.access(ROOT / script[1], os.X_OK), script[1]
                called.append(script[1])
    assert {".ci/run", "tools/lint.sh", "tools/test.sh", "tools/full_test.sh"} <= {
        *called
    }


def test_workflows_try_every_python_and_system():
    setup = (ROOT / "setup.py").read_text("utf-8")
    low, high = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', setup).groups()
    pythons = [f"3.{minor}" for minor in range(int(low), int(high))]
    for name, job in jobs():
        if name in ("tests", "wheel"):
            assert job["strategy"]["matrix"]["python"] == pythons
            assert len(job["strategy"]["matrix"]["os"]) == 3


def test_scripts_are_executable_bash_that_stops_at_errors():
    for path in (ROOT / "tools").glob("*.sh"):
        if path.name != "environment.sh":
            text = path.read_text("utf-8")
            assert text.startswith("#!/usr/bin/env bash\n")
            assert "\nset -euo pipefail\n" in text
            assert os.access(path, os.X_OK), path


def test_every_extra_is_in_the_manual_and_is_tried_with_the_wheel():
    setup = (ROOT / "setup.py").read_text("utf-8")
    setup = setup.partition("extras_require=")[2].partition("entry_points=")[0]
    extras = re.findall(r'^        "(\w+)": ', setup, re.MULTILINE)
    manual = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", manual, re.MULTILINE)) == sorted(extras)
    trials = (ROOT / "tools" / "try_extra.py").read_text("utf-8")
    defined = re.findall(r"^def ([a-z]\w+)\(piece", trials, re.MULTILINE)
    assert {*defined, "gpu", "dev"} == {*extras}
