"""The manual: links, pictures, commands, and tables generated from declarations."""

import ast
import dataclasses
import importlib.util
import pathlib
import re
import shlex

import pytest

from poph_tf import __version__, config
from poph_tf.models import presets, pretrained

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "BUILD.md", "results/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SETTINGS = [
    cls
    for name in config.__all__
    if hasattr(cls := getattr(config, name), "__pydantic_fields__")
]
PROGRAMS = [
    *(f"poph_tf/{name}.py" for name in ("train", "evaluate", "generate", "export")),
    *("poph_tf/live.py", "poph_tf/serve.py"),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "tools").rglob("*.py")),
]
# Flags of absl and of other programs that the manual mentions.
COMMON = {"help", "helpfull", "version", "verbosity"}
OTHERS = {"no-deps", "logdir", "strict", "cases", "dir", "all"}
# Options of Apache Beam's runners.
OTHERS |= {"dask_client_address", "flink_master", "spark_master_url", "project"}
OTHERS |= {"environment_type", "environment_config", "sdk_container_image"}
OTHERS |= {"region", "temp_location", "service_port"}


def load_hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks


def without_code(text):
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def commands(text):
    """The command lines of a page: code blocks and inline code."""
    blocks = re.findall(r"^ *```(?:sh)?\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`([^`\n]+)`", without_code(text).replace("\n", " "))
    for line in lines:
        found = re.search(r"\bpython -m (poph_tf\.\w+)|\bpython (\S+\.py)", line)
        if found:
            module, script = found.groups()
            words = shlex.split(line[found.end() :], comments=True)
            yield script or module.replace(".", "/") + ".py", words


def flags_of(program):
    """Names of the flags that a program defines, read from its source."""
    tree = ast.parse((ROOT / program).read_text("utf-8"))
    names = set(COMMON)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        function = ast.unparse(call.func).split(".")[-1]
        argument = ast.unparse(call.args[0])
        if function == "define":
            names |= settings_of(argument, call.keywords)
        elif re.match(r"DEFINE_|add_argument$", function):
            names.add(ast.literal_eval(argument).lstrip("-"))
    source = ast.unparse(tree)
    shared = re.findall(r"define_(cores|force)\(", source)
    return names | set(shared)


def settings_of(cls, keywords):
    skipped = [ast.literal_eval(k.value) for k in keywords if k.arg == "skip"]
    cls = getattr(config, cls.split(".")[-1])
    names = {setting.name for setting in config.describe(cls)}
    return names.difference(*skipped)


def test_readme_has_at_most_100_lines():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_and_picture_exists(page):
    text = without_code(page.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    for target in targets:
        path = target.split("#")[0]
        # mkdocs checks the files that it generates.
        made = path.endswith(("demo/index.html", "openapi.json"))
        if path and not made and not re.match(r"\w+:", target):
            assert (page.parent / path).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_of_the_repository_that_a_page_names_exist(page):
    if page.name == "changelog.md":
        return  # it names files of earlier versions
    for span in re.findall(r"`([^`\n]+)`", page.read_text("utf-8")):
        for path in re.findall(
            r"^(?:poph_tf|tools|tests|docs|results)/[\w/.-]+$", span
        ):
            assert (ROOT / path).exists(), path


def test_each_how_to_page_has_tests_that_exist():
    table = (ROOT / "docs" / "developing" / "features.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", table)
    assert len(named) == table.count("::test_") > 40
    for path, name in named:
        text = (ROOT / path).read_text("utf-8")
        assert f"\ndef {name}(" in text, f"{path}::{name}"
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        assert page.name == "index.md" or f"](../how-to/{page.name})" in table


def test_every_picture_of_the_manual_is_shown():
    shown = "".join(page.read_text("utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name}" in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_programs_and_flags_that_exist(page):
    for program, words in commands(page.read_text("utf-8")):
        assert (ROOT / program).exists(), program
        known = flags_of(program)
        for word in words:
            name = re.match(r"--([a-z][\w-]*)", word)
            if name:
                plain = name[1].removeprefix("no")
                assert known & {name[1], plain}, f"{program} has no --{name[1]}"


def test_commands_are_found():
    found = list(commands((ROOT / "README.md").read_text("utf-8")))
    assert ("poph_tf/serve.py", ["--export_dir=serving/poph", "--port=8501"]) in found
    assert len(found) >= 10


def test_flags_without_a_command_exist_in_some_program():
    known = OTHERS.union(*map(flags_of, PROGRAMS))
    for page in PAGES:
        spans = re.findall(r"`([^`\n]+)`", without_code(page.read_text("utf-8")))
        for flag in re.findall(r"(?:^|\s)--([a-z][\w-]*)", "\n".join(spans)):
            assert known & {flag, flag.removeprefix("no")}, f"{page}: --{flag}"


def test_keywords_of_compose_exist():
    known = {setting.name for setting in config.describe(config.GenerationConfig)}
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(
            r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE
        ):
            for call in ast.walk(ast.parse(block)):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
                    (".compose", ".stream", ".continue_", ".harmonize", ".infill")
                ):
                    names = {keyword.arg for keyword in call.keywords}
                    assert names <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_settings_that_commands_replace_exist(page):
    for _, words in commands(page.read_text("utf-8")):
        for word in words:
            for flag, cls in (
                ("--set=", config.ModelConfig),
                ("--train=", config.TrainingConfig),
            ):
                if word.startswith(flag) and word != f"{flag}help":
                    config.parse_overrides(cls, [word.removeprefix(flag)])


def test_presets_that_commands_name_exist():
    for page in PAGES:
        for name in re.findall(r"--preset=(\w+)", page.read_text("utf-8")):
            assert name in presets.PRESETS or name in pretrained.names()


@pytest.mark.parametrize("cls", SETTINGS, ids=lambda cls: cls.__name__)
def test_the_reference_lists_every_setting_with_its_help(cls):
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    filled = load_hooks().on_page_markdown(page)
    for setting in config.describe(cls):
        assert f'<a id="{cls.__name__}.{setting.name}"></a>`{setting.name}`' in filled
        assert setting.help
        assert setting.help.replace("|", "\\|") in filled


def test_the_reference_compares_all_presets():
    page = (ROOT / "docs" / "reference" / "presets.md").read_text("utf-8")
    filled = load_hooks().on_page_markdown(page)
    assert "| setting | " + " | ".join(f"`{n}`" for n in presets.PRESETS) in filled
    assert "| `note_features` | `window` | `window` | `convolution` |" in filled


def test_every_preset_is_drawn():
    page = (ROOT / "docs" / "concepts" / "network.md").read_text("utf-8")
    filled = load_hooks().on_page_markdown(page)
    for name in presets.PRESETS:
        assert f"<title>The network of the preset {name}</title>" in filled
    # Features of biaxial: a window of 25 cells of play and replay, the pitch position,
    # 12 class counts and 16 bar positions.
    assert f"[batch, time, 48 pitches, {25 * 2 + 1 + 12 + 16}]" in filled


def test_a_new_setting_and_a_new_preset_are_in_the_manual(monkeypatch):
    hooks = load_hooks()
    wide = dataclasses.replace(presets.preset("poph2"), preset="wide", head_units=99)
    monkeypatch.setitem(presets.PRESETS, "wide", wide)
    assert "`99`" in hooks.presets_table()

    @config.declaration.settings
    class Extended(config.GenerationConfig):
        swing: float = 0.25
        """How much later every second eighth note is."""

    table = hooks.settings_table(Extended)
    assert "`swing` | a number | `0.25` | How much later every second" in table


def test_the_citation_names_the_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {__version__}\n" in text
