"""Fills the manual's pages with what the code declares, when mkdocs builds them.

A page holds markers, each alone on a line:

    <!-- settings: GenerationConfig -->   the table of a class of settings
    <!-- presets -->                      the settings in which the presets differ
    <!-- network: poph2 -->               a drawing of a preset's network
    <!-- modules: poph_tf.data -->        the public modules of a package
    <!-- card: scores -->                 the card of a pretrained model
    <!-- inputs -->                       the inputs of the exported signatures
    <!-- signatures -->                   the exported signatures
    <!-- api -->                          the HTTP API, also in openapi.json

Notebooks in docs/tutorials become pages with their stored outputs; a link to a notebook
leads to its page. The demo (docs/demo_files.py) and the files that the pages of the
gallery share are added too.
"""

import dataclasses
import json
import pathlib
import re
import sys

import griffe
from mkdocs.structure.files import File

sys.path.append(str(pathlib.Path(__file__).resolve().parent))

import demo_files

from poph_tf import config
from poph_tf.cli import quiet
from poph_tf.models import presets
from poph_tf.rendering import html
from poph_tf.serving.api import page as server
from poph_tf.serving.api import reference
from poph_tf.serving.api.app import Api
from poph_tf.serving.api.scheduler import Scheduler

ROOT = pathlib.Path(__file__).resolve().parent.parent
_MARKER = re.compile(r"^<!-- (\w+)(?:: ([\w.]+))? -->$", re.MULTILINE)


def on_files(files, config, **_):
    """Adds generated files and a page for each notebook; called by mkdocs."""
    described = "reference/openapi.json", json.dumps(openapi(), indent=1)
    player = "results/gallery/player"
    style = (html.WEB / "page.css").read_text("utf-8")
    shared = (f"{player}.js", html.program()), (f"{player}.css", style)
    for path, content in (*demo_files.files(), *shared, described):
        files.append(File.generated(config, path, content=content))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = file.src_uri.removesuffix(".ipynb") + ".md"
        text = notebook_page(json.loads(file.content_string))
        files.append(File.generated(config, page, content=text))
    return files


def openapi():
    """The OpenAPI description of the server's API."""
    api = Api(config.ServerConfig(), Scheduler(num_threads=0), None, None)
    return server.application(api, tf_serving=lambda: None, lifespan=None).openapi()


def notebook_page(notebook):
    """The Markdown of a notebook: its text, code and outputs."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            parts.append(_fenced(source, "python"))
            parts += [_output(output) for output in cell["outputs"]]
        else:
            parts.append(source)
    return "\n\n".join(part for part in parts if part)


def _fenced(text, language):
    return f"```{language}\n{text.rstrip()}\n```"


def _output(output):
    """An output as HTML if available, else as a picture or as text."""
    data = {
        kind: text if isinstance(text, str) else "".join(text)
        for kind, text in output.get("data", {"text/plain": output.get("text")}).items()
        if text
    }
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    if "image/png" in data:
        uri = f"data:image/png;base64,{data['image/png'].strip()}"
        return f'<div class="output"><img alt="What the cell shows" src="{uri}"></div>'
    return _fenced(data.get("text/plain", ""), "text")


def on_page_markdown(markdown, **_):
    """Replaces the markers of a page; called by mkdocs."""

    def fill(match):
        fillers = {
            "settings": lambda name: settings_table(getattr(config, name)),
            "presets": lambda _: presets_table(),
            "network": lambda name: network_drawing(presets.preset(name)),
            "modules": modules,
            "card": card,
            "inputs": lambda _: inputs_table(),
            "signatures": lambda _: signatures_table(),
            "api": lambda _: f"<div>\n{reference.fragment(openapi())}\n</div>",
        }
        return fillers[match[1]](match[2]) if match[1] in fillers else match[0]

    return _MARKER.sub(fill, markdown.replace(".ipynb)", ".md)"))


class ExampleSections(griffe.Extension):
    """Lets griffe read the section `Example:` as its own `Examples:`."""

    def on_instance(self, *, obj, **_):
        """Called by griffe for each object that it has read."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE
            )


def settings_table(cls):
    """A Markdown table of the settings of a class."""
    former = {new: old for old, new in getattr(cls, "renamed", {}).items()}
    rows = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for setting in config.describe(cls):
        text = setting.help
        if setting.name in former:
            text += f" Its old name, `{former[setting.name]}`, still works."
        name = f'<a id="{cls.__name__}.{setting.name}"></a>`{setting.name}`'
        cells = (name, setting.expected, _shown(setting.default), text)
        rows.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(rows)


def presets_table():
    """A Markdown table of the settings in which the presets differ."""
    rows = [
        "| setting | " + " | ".join(f"`{name}`" for name in presets.PRESETS) + " |",
        "|---" * (len(presets.PRESETS) + 1) + "|",
    ]
    for setting in config.describe(config.ModelConfig):
        values = [getattr(preset, setting.name) for preset in presets.PRESETS.values()]
        if setting.name != "preset" and len(set(values)) > 1:
            cells = [f"`{setting.name}`", *map(_shown, values)]
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _shown(value):
    """A value as it is written on the command line."""
    if value is dataclasses.MISSING:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return "" if value in ("", None) else f"`{value}`"


def modules(package):
    """Reference pages of the public modules of a package, by mkdocstrings."""
    folder = ROOT.joinpath(*package.split("."))
    names = [package]
    names += [f"{package}.{path.stem}" for path in sorted(folder.glob("[a-z]*.py"))]
    return "\n\n".join(f"::: {name}" for name in names)


def inputs_table():
    """A Markdown table of the inputs of the exported signatures."""
    quiet.import_tensorflow()
    from poph_tf.serving.inputs import INPUTS

    rows = ["| input | type and shape | range | meaning |", "|---|---|---|---|"]
    for name, declared in INPUTS.items():
        cells = declared.describe(None)
        rows.append(
            f"| `{name}` | {cells['type']} | {cells['range']} | {cells['meaning']} |"
        )
    return "\n".join(rows)


def signatures_table():
    """A Markdown table of the exported signatures."""
    quiet.import_tensorflow()
    from poph_tf.serving import inputs

    rows = ["| signature | meaning | inputs | outputs |", "|---|---|---|---|"]
    for name, signature in inputs.SIGNATURES.items():
        takes = ", ".join(signature.inputs)
        if signature.track_inputs:
            takes += f"; with tracks also {', '.join(signature.track_inputs)}"
        rows.append(
            f"| `{name}` | {signature.meaning} | {takes} | {signature.outputs} |"
        )
    for alias, name in inputs.ALIASES.items():
        text = "The former name of" if alias in inputs.DEPRECATED else "The same as"
        rows.append(f"| `{alias}` | {text} `{name}`. | | |")
    return "\n".join(rows)


def card(name):
    """The card of a pretrained model, with its headings one level lower."""
    path = ROOT / "poph_tf" / "pretrained" / name / "card.md"
    return re.sub(r"^#", "##", path.read_text("utf-8"), flags=re.MULTILINE)


# The drawing of a network: boxes from top to bottom, each with a note on the shape.
_BOX = {"x": 10, "width": 390, "height": 44}
_ROW = 72
_SIDE = {"x": 470, "width": 230}


def network_drawing(model):
    """An SVG of the stages of a network.

    Args:
        model: ModelConfig.
    """
    stages = _stages(model)
    height = _ROW * len(stages)
    parts = [f'<svg viewBox="0 0 710 {height}" role="img">']
    parts.append(f"<title>The network of the preset {model.preset}</title>")
    for row, (title, detail, shape, side) in enumerate(stages):
        top = 6 + row * _ROW
        parts += _box(_BOX["x"], top, _BOX["width"], title, detail)
        if row + 1 < len(stages):
            parts.append(_arrow(205, top + 44, 205, top + _ROW))
            parts.append(f'<text class="note" x="215" y="{top + 62}">{shape}</text>')
        if side:
            parts += _box(_SIDE["x"], top, _SIDE["width"], *side)
            parts.append(_arrow(_SIDE["x"], top + 22, 400, top + 22))
    return '<div class="network">' + "".join(parts) + "</svg></div>"


def _box(left, top, width, title, detail):
    text = f'<text class="{{}}" x="{left + 10}" y="{{}}">{{}}</text>'
    size = f'width="{width}" height="44" rx="4"'
    return [
        f'<rect x="{left}" y="{top}" {size}/>',
        text.format("title", top + 19, title),
        text.format("note", top + 36, detail),
    ]


def _arrow(x0, y0, x1, y1):
    if x0 == x1:
        head = f"M{x1 - 4},{y1 - 6} L{x1},{y1} L{x1 + 4},{y1 - 6}"
    else:
        head = f"M{x1 + 6},{y1 - 4} L{x1},{y1} L{x1 + 6},{y1 + 4}"
    return f'<path d="M{x0},{y0} L{x1},{y1} {head}"/>'


def _stages(model):
    """(title, detail, shape of the output, side box or None) of each stage."""
    channels = ["play"] + ["replay"] * model.replay + ["volume"] * model.volume
    return [
        *_note_stages(model, channels),
        *_time_stages(model),
        _pitch_stage(model),
        _heads_stage(model, channels),
    ]


def _frames(model, features):
    """The shape of frames with this many features per pitch."""
    return f"[batch, time, {model.num_pitches} pitches, {features}]"


def _heads(model):
    return f"{model.num_heads} heads of {model.head_units}"


def _note_stages(model, channels):
    """From the previous frame to the features of each of its pitches."""
    width = model.window_width * len(channels) + 1
    near = f"Window of {model.window_width} semitones"
    if model.note_features == "convolution":
        width = model.octave_filters + 13
        near = f"Octave convolution, {model.octave_filters} x {model.octave_width}"
    counts = {"own": 1, "relative": 12}[model.class_counts]
    shape = _frames(model, width + counts + model.bar_positions)
    details = ["pitch position"] + ["pitch class"] * (model.note_features != "window")
    details += [f"{counts} class counts" if counts > 1 else "count of own class"]
    details += ["bar position"] * bool(model.bar_positions)
    title = f"Frame of step t - 1: {', '.join(channels)}"
    before = _frames(model, len(channels))
    yield title, "what sounded in the previous step", before, None
    yield near, ", ".join(details), shape, None
    if model.attends_along_pitch_first:
        detail = f"{_heads(model)}, residual, layer normalization"
        yield "Self-attention along pitch", detail, shape, None


def _time_stages(model):
    units, style = model.num_time_units, None
    if model.style_units:
        style = ("Style", f"{model.style_units} units, added before every LSTM")
    title = f"LSTM along time, {model.num_time_layers} x {units}"
    yield title, "one set of weights for all pitches", _frames(model, units), style
    if model.time_attention == "frames":
        detail = f"{_heads(model)}, looks back {model.time_attention_steps} steps"
        shape = _frames(model, _units_after_time(model))
        yield "Attention along time, by frames", detail, shape, None


def _units_after_time(model):
    attention = model.time_attention == "frames"
    return model.num_time_units + 2 * model.num_heads * attention


def _pitch_stage(model):
    context = {
        "note": "the note drawn just before",
        "window": "window and class counts of them",
    }
    units, seen = model.num_pitch_units, model.pitch_context
    title = f"LSTM along pitch, {model.num_pitch_layers} x {units}"
    out = units
    if model.pitch_model == "nade":
        title, seen = f"NADE along pitch, {units} hidden units", "window"
        out += _units_after_time(model)
    side = ("Notes drawn so far in step t", context[seen])
    return title, "from low to high, all steps alike", _frames(model, out), side


def _heads_stage(model, channels):
    loss = ("Harmony loss", f"in training only, weight {model.harmony_weight:g}")
    detail = "logits" + ", volume from 0 to 1" * model.volume
    title = f"Heads: {', '.join(channels)}"
    return title, detail, "", loss if model.harmony_weight else None
