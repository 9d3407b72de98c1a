"""What the API declares: its addresses, their settings and examples."""

import json

import pydantic
import pytest
import servers

from poph_tf.config import GenerationConfig, ModelConfig, describe
from poph_tf.models import SETTINGS_FILE, pretrained
from poph_tf.serving.api import answers, bodies, workers


def test_bodies_have_every_setting_of_the_declaration_but_those_said_otherwise():
    fields = set(bodies.Arranging.model_fields)
    declared = {setting.name for setting in describe(GenerationConfig)}
    assert fields - declared == {"model", "candidates"}
    assert declared - fields == {"num_pieces", "task", "primer", "fix", "redraw"}
    schema = bodies.Composing.model_json_schema()["properties"]
    for setting in describe(GenerationConfig):
        if setting.name in schema:
            assert " ".join(schema[setting.name]["description"].split()) == setting.help
            assert schema[setting.name].get("maximum") == setting.high


def test_openapi_and_its_manual_name_every_address_and_setting():
    _, openapi = servers.composing().ask("openapi.json")
    _, page = servers.composing().ask("docs")
    for path in openapi["paths"]:
        assert path in page.decode()
    for setting in openapi["components"]["schemas"]["Arranging"]["properties"]:
        assert f"<code>{setting}</code>" in page.decode()
    assert {"/v1/compose", "/v1/read", "/v1/render", "/v1/score"} <= set(
        openapi["paths"]
    )
    assert "http" not in page.decode().replace("https://", "http")


@pytest.mark.parametrize("name", answers.EXAMPLES)
def test_the_example_of_each_address_can_be_answered(name):
    example = answers.EXAMPLES[name]
    settings = json.loads((pretrained.ROOT / "chorales" / SETTINGS_FILE).read_text())
    config = ModelConfig.from_dict(settings["model"])
    kinds = {"read": bodies.Reading, "score": bodies.Scoring}
    kinds |= {"render": bodies.Rendering, "compose": bodies.Composing}
    body = kinds.get(name, bodies.Arranging).model_validate(example)
    notes = None
    if "abc" in example.get("music", {}):
        notes = workers.read(*body.music.content())
        assert len(notes) == 4
    if name not in ("read", "score", "render"):
        request = bodies.configs(body, name, notes)[0].resolve(config)
        assert request.num_steps > 0


MANY = 15_000
MUSIC = {"notes": [{"pitch": 60, "start": 0, "duration": 1}]}
UNKNOWN = {f"x{k}": [] for k in range(MANY)}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"draw": [{}] * MANY}, "draw.0.str: Input should be a valid string."),
        ({"draw": [1] * 10**6}, "draw.0.str: Input should be a valid string."),
        ({"draw": ["bass"] * 16_385}, "draw: List should have at most 16384 items"),
        ({"draw": [{"track": "", "start": 0, "end": 1} | UNKNOWN]}, "draw.0"),
        ({"given": [1] * MANY}, "given.0: Input should be a valid string."),
        ({"given": ["bass"] * 33}, "given: Tuple should have at most 32 items"),
        ({"map": [[]] * MANY}, "map.0: Input should be a valid string."),
        ({"map": ["bass=1"] * 33}, "map: Tuple should have at most 32 items"),
        ({"x": [[[]]] * MANY}, "x is unknown here."),
        (UNKNOWN, "x0 is unknown here."),
        ({"music": UNKNOWN}, "music.x0 is unknown here."),
        ({"music": MUSIC | UNKNOWN}, "music.x0 is unknown here."),
        ({"music": {"notes": [{}] * MANY}}, "music.notes.0.pitch must be given."),
        ({"music": {"notes": [UNKNOWN]}}, "music.notes.0.pitch must be given."),
        ({"music": MUSIC | {"tracks": [1] * MANY}}, "music.tracks.0: "),
        ({"music": MUSIC | {"metre_changes": [1] * MANY}}, "music.metre_changes.0: "),
    ],
)
def test_a_body_with_many_errors_has_its_first_ones_found(body, told):
    with pytest.raises(pydantic.ValidationError) as caught:
        bodies.Arranging.model_validate({"music": MUSIC} | body)
    assert caught.value.error_count() <= 8
    assert told in bodies.sentence(caught.value.errors())
