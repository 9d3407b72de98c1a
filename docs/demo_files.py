"""The files of the demo: the studio's page with a composer that runs in the browser.

docs/demo/page holds the modules that replace the server, and the runtime. Everything
else comes from the package: the page, and a pretrained model with its settings.
"""

import json
import pathlib

from poph_tf import named_chords, theory
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.generation.light_engine import NEUTRAL, LightEngine
from poph_tf.models import LIGHT_FILE, SETTINGS_FILE, pretrained
from poph_tf.rendering import html
from poph_tf.serving.api import scores

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEB = ROOT / "poph_tf" / "serving" / "web"
# The modules that saved pages also use.
SHARED = [ROOT / "poph_tf" / "rendering" / "web" / name for name in html.SHARED]
# The model has one style, so the page need not offer a choice.
MODEL = "chorales"
# The piece of the first click, and how much of it comes with the page.
OPENING = {"candidates": 1, "seed": 1, "temperature": 1, "num_bars": 8, "metre": "4/4"}
OPENING_STEPS = 64


def files():
    """Path in the manual and content of each file that docs/demo lacks."""
    for path in sorted([*WEB.iterdir(), *SHARED]):
        place = "demo/page" if path.suffix != ".html" else "demo"
        if not (ROOT / "docs" / place / path.name).exists():
            text = path.read_text("utf-8").replace("PopH studio", "PopH demo")
            yield f"{place}/{path.name}", text
    folder = pretrained.ROOT / MODEL
    settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
    model = ModelConfig.from_dict(settings["model"])
    yield "demo/model/step.tflite", (folder / LIGHT_FILE).read_bytes()
    yield (
        "demo/model/network.json",
        json.dumps(network(model) | {"opening": opening(folder)}),
    )


def network(model):
    """What the browser must know about the model; types are in docs/demo/page/task.js.

    Args:
        model: ModelConfig.
    """
    config = GenerationConfig()
    controls = {"top_p": config.top_p, "style": 1.0}
    # The model is conditioned on the key.
    controls["key_strength"] = config.key_strength
    return {
        "name": MODEL,
        "tracks": [
            {"name": t.name, "program": t.program, "is_drum": t.is_drum}
            for t in model.tracks
        ],
        "styles": list(model.styles),
        "min_pitch": model.min_pitch,
        "num_pitches": model.num_pitches,
        "controls": {**NEUTRAL, **controls},
        "tonics": theory.TONICS,
        "chord_kinds": named_chords.KINDS,
    }


def opening(folder):
    """The request of a visitor's first click, and the first bars of the response.

    They play while the browser loads the network, which then draws them too.

    Args:
        folder: the model's folder.
    """
    config = GenerationConfig(num_pieces=1, seed=OPENING["seed"], num_bars=8)
    (piece,) = LightEngine(folder).compose(config)
    notes = [
        {**note, "duration": min(note["duration"], OPENING_STEPS - note["start"])}
        for note in scores.of_matrices(piece)["notes"]
        if note["start"] < OPENING_STEPS
    ]
    bar = {"candidate": 0, "start": 0, "num_steps": OPENING_STEPS, "notes": notes}
    return {"body": OPENING, "bar": bar}
