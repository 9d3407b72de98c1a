"""Settings: declared once as fields, checked, and available in every interface."""

import dataclasses
import importlib.util
import json
import math
from typing import Annotated, Literal

import hypothesis
import pytest
import small
from absl import flags
from annotated_types import Interval
from hypothesis import given
from hypothesis import strategies as st

from poph_tf import config
from poph_tf.cli import flags as own_flags
from poph_tf.config.declaration import (
    Floats,
    Ints,
    Stored,
    Texts,
    check_names,
    describe,
    json_schema,
    parse_overrides,
    settings,
)
from poph_tf.errors import InputError

CLASSES = [
    config.DataConfig,
    config.DistributionConfig,
    config.ExecutionOptions,
    config.GenerationConfig,
    config.Limits,
    config.LiveConfig,
    config.ModelConfig,
    config.ServerConfig,
    config.TrainingConfig,
]


@settings
class Swing(Stored):
    """Settings of every kind."""

    share: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.5
    """Share of a beat
    before the second note."""
    every: Annotated[int, Interval(ge=1)] = 2
    """Steps."""
    kind: Literal["hard", "soft"] = "soft"
    """How."""
    on: bool = False
    """Whether."""
    name: str = ""
    """What."""
    steps: Ints = (1, 2)
    """Which."""
    weights: Floats = ()
    """How much."""
    parts: Texts = ()
    """Whose."""

    renamed = {"amount": "share"}


@settings
class WithSwing(config.GenerationConfig):
    """The settings of composing plus one more."""

    swing_share: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.25
    """Share of a beat that the second eighth note is late."""


INHERITED = [setting.name for setting in describe(config.GenerationConfig)]


@pytest.fixture(autouse=True)
def own_flags_only():
    """Removes the flags that a test defines."""
    before = set(flags.FLAGS)
    yield
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


def refused(cls, **values):
    with pytest.raises(InputError) as raised:
        cls(**values)
    return str(raised.value)


# Adding a setting to a class.


def test_an_added_setting_is_described_with_its_bounds_and_help():
    *inherited, added = describe(WithSwing)
    assert [setting.name for setting in inherited] == INHERITED
    assert (added.name, added.type, added.default) == ("swing_share", float, 0.25)
    assert (added.low, added.high) == (0.0, 1.0)
    assert added.help == "Share of a beat that the second eighth note is late."


def test_an_added_setting_is_a_flag():
    own_flags.define(WithSwing, skip=INHERITED)
    flag = flags.FLAGS["swing_share"]
    assert flag.help == "Share of a beat that the second eighth note is late."
    flags.FLAGS(["test", "--swing_share=0.4"])
    assert own_flags.values(WithSwing)["swing_share"] == 0.4
    with pytest.raises(flags.IllegalFlagValueError):
        flags.FLAGS(["test", "--swing_share=late"])


def test_an_added_setting_is_a_keyword_of_composing(monkeypatch):
    from poph_tf.generation import composer as composer_lib

    monkeypatch.setattr(composer_lib, "GenerationConfig", WithSwing)
    monkeypatch.setattr(WithSwing, "resolve", lambda self, model: self)
    composer = composer_lib.Composer(small.model("biaxial"))
    assert composer.resolve("compose", {"swing_share": 0.4}).swing_share == 0.4
    with pytest.raises(InputError, match="swing_share must be a number from 0.0 to 1"):
        composer.resolve("compose", {"swing_share": 1.4})
    with pytest.raises(InputError, match="did you mean 'swing_share'"):
        composer.resolve("compose", {"swing": 0.4})


def test_an_added_setting_is_in_the_json_schema():
    found = json_schema(WithSwing)["properties"]["swing_share"]
    assert (found["type"], found["default"]) == ("number", 0.25)
    assert (found["minimum"], found["maximum"]) == (0.0, 1.0)
    assert found["description"].startswith("Share of a beat that the second")


def test_an_added_setting_is_in_the_table_of_the_manual():
    spec = importlib.util.spec_from_file_location(
        "hooks", small.ROOT / "docs" / "hooks.py"
    )
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    (row,) = (
        line for line in hooks.settings_table(WithSwing).splitlines() if "swing" in line
    )
    assert "| a number from 0.0 to 1.0 | `0.25` | Share of a beat" in row


# Values.


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.5}, "share must be a number from 0.0 to 1.0, got 1.5."),
        ({"share": -0.1}, "share must be a number from 0.0 to 1.0, got -0.1."),
        ({"share": float("nan")}, "share must be a number from 0.0 to 1.0, got nan."),
        ({"share": float("inf")}, "share must be a number from 0.0 to 1.0, got inf."),
        ({"share": "0.5"}, "share must be a number from 0.0 to 1.0, got '0.5'."),
        ({"share": True}, "share must be a number from 0.0 to 1.0, got True."),
        ({"every": 0}, "every must be a whole number from 1 up, got 0."),
        ({"every": 1.5}, "every must be a whole number from 1 up, got 1.5."),
        ({"kind": "loud"}, "kind must be one of hard, soft, got 'loud'."),
        ({"on": 1}, "on must be true or false, got 1."),
        ({"name": 3}, "name must be a string, got 3."),
        ({"steps": 3}, "steps must be a list of whole numbers, got 3."),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_right_and_what_came(
    values, message
):
    assert refused(Swing, **values) == message


def test_bounds_belong_to_the_values_allowed():
    assert [Swing(share=value).share for value in (0.0, 1.0, 1)] == [0.0, 1.0, 1.0]
    assert Swing(every=10**9).every == 10**9


def test_an_unknown_name_is_refused_with_the_nearest():
    assert refused(Swing, shore=0.1) == (
        "Swing has no setting 'shore'; did you mean 'share'?"
    )
    assert refused(Swing, zzz=0.1) == "Swing has no setting 'zzz'."
    with pytest.raises(
        InputError, match=r"swing\(\) got an unknown option 'evry'; did"
    ):
        check_names(Swing, ["share", "evry"], caller="swing()")


def test_a_former_name_is_taken_with_a_warning_that_names_the_new_one():
    with pytest.warns(FutureWarning, match="'amount' is now called 'share'"):
        assert Swing(amount=0.1).share == 0.1
    assert Swing.from_dict({"amount": 0.1}).share == 0.1


@pytest.mark.parametrize("cls", CLASSES)
def test_former_names_lead_to_settings_that_exist(cls):
    names = {setting.name for setting in describe(cls)}
    renamed = getattr(cls, "renamed", {})
    assert set(renamed.values()) <= names and not set(renamed) & names


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_has_a_help_text_and_words_for_its_values(cls):
    for setting in describe(cls):
        assert setting.help.endswith("."), setting.name
        assert setting.expected != "of another type" or setting.name in INHERITED


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Swing().share = 0.1


def test_settings_go_to_json_and_come_back():
    swing = Swing(
        0.25, 3, "hard", on=True, steps=(4,), weights=(0.5, 1.0), parts=("a",)
    )
    text = json.dumps(swing.to_dict())
    assert Swing.from_dict(json.loads(text)) == swing
    assert hash(Swing.from_dict(json.loads(text))) == hash(swing)


def test_tracks_go_to_json_and_come_back():
    tracks = (config.Track("soprano", 52, voice=True), config.Track("kit", 0, True))
    model = config.preset("poph3", tracks=tracks)
    stored = json.loads(json.dumps(model.to_dict()))
    assert stored["tracks"][1] == {
        "name": "kit",
        "program": 0,
        "is_drum": True,
        "voice": False,
    }
    assert config.ModelConfig.from_dict(stored) == model
    assert config.ModelConfig.from_dict({"preset": "poph"}).tracks == ()


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ([{"name": "a", "programme": 3}], "no setting 'programme'; did you mean"),
        ([{"name": "a", "program": 128}], "program must be a whole number from 0 to"),
        ([{"name": "a b"}], "A track's name must be a word without commas, got 'a b'"),
        ([{"name": "a"}, {"name": "a"}], "Tracks must have distinct names, got a, a"),
        (3, "tracks must be a list of objects, got 3"),
    ],
)
def test_impossible_tracks_are_refused(tracks, message):
    assert message in refused(config.ModelConfig, tracks=tracks)


def test_help_is_one_line_whatever_its_source():
    assert describe(Swing)[0].help == "Share of a beat before the second note."


def test_overrides_are_read_by_the_type_of_their_setting():
    texts = ["share=0.75", "every=3", "kind=hard", "on=True", "name=3", "steps=[1, 2]"]
    assert Swing(**parse_overrides(Swing, texts)) == Swing(0.75, 3, "hard", True, "3")
    for text, message in [
        ("share", "Settings are key=value, got 'share'"),
        ("every=many", "every must be a whole number from 1 up, got 'many'"),
        ("evry=3", "did you mean 'every'"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_overrides(Swing, [text])


def test_lists_are_flags_whose_items_have_their_type():
    own_flags.define(Swing, skip=["name", "on", "kind", "every", "share"])
    flags.FLAGS(["test", "--steps=4,5", "--weights=0.5", "--parts=a,b"])
    values = own_flags.values(Swing)
    assert (values["steps"], values["weights"]) == ((4, 5), (0.5,))
    assert values["parts"] == ("a", "b")
    flags.FLAGS(["test", "--steps=4,x"])
    with pytest.raises(InputError, match="steps must be a list of whole numbers"):
        own_flags.values(Swing)


# Every setting of every class.

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.lists(st.integers() | st.text()), st.dictionaries(st.text(), st.integers()),
)  # fmt: skip

NUMBERS = [
    (cls, setting)
    for cls in CLASSES
    for setting in describe(cls)
    if setting.type in (int, float)
]


@pytest.mark.parametrize(
    ("cls", "setting"),
    NUMBERS,
    ids=lambda x: x.__name__ if isinstance(x, type) else x.name,
)
def test_no_number_is_absurd(cls, setting):
    assert setting.low is not None and setting.high is not None
    values = [math.nan, math.inf, -math.inf, 1e300, -1e300, 10**30, -(10**30)]
    values += [setting.low - 1, setting.high + 1, "1", None, [], True]
    for value in values:
        message = refused(cls, **needed(cls), **{setting.name: value})
        assert message.startswith(f"{setting.name} must be {setting.expected}, got")


@given(value=ANYTHING, data=st.data())
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_value_of_any_setting_is_taken_or_refused_in_one_sentence(value, data):
    cls = data.draw(st.sampled_from(CLASSES))
    setting = data.draw(st.sampled_from(describe(cls)))
    try:
        made = cls(**needed(cls) | {setting.name: value})
    except InputError as error:
        assert str(error).endswith(".")
    else:
        kept = getattr(made, setting.name)
        if setting.type in (int, float):
            assert setting.low <= kept <= setting.high


def needed(cls):
    """Values for the required settings."""
    return {"input": ("songs",)} if cls is config.DataConfig else {}


def test_a_list_of_numbers_holds_no_nan():
    for value in (math.nan, math.inf):
        assert "weights must be a list of numbers" in refused(Swing, weights=(value,))
