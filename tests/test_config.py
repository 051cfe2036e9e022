"""Settings: checked when made, loaded strictly, written and read without loss."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.config import (
    Knob,
    config,
    defaults,
    from_json,
    knob,
    knobs,
    load,
    parse,
    parse_named,
    plain,
    unparse,
    unparse_named,
)
from ostinato.errors import ConfigError
from ostinato.registry import Registry


@config
class Inner:
    size: int = knob("how large", default=3, low=1)


@config
class Kitchen:
    """One knob of every kind."""

    count: int = knob("how many", default=7, unit="cups", low=1, high=12)
    heat: float = knob("how hot", default=0.5, low=0)
    gas: bool = knob("with gas", default=False)
    name: str = knob("what for", default="tea", choices=("tea", "soup"))
    minutes: float | None = knob("how long", default=None, unit="min", high=90)
    sizes: tuple[int, ...] = knob("of the pots", default=(1, 2))
    inner: Inner = knob("the inner one", default=Inner())
    inners: tuple[Inner, ...] = knob("the others", default=())


@config
class Needy:
    must: int = knob("has no default")
    may: int = knob("has one", default=1)


@config
class Loose:
    anything: Any = knob("no kind", default=None)
    free: float = knob("no limits", default=0.0)
    bare: int = 3


@config
class Ordered:
    low: int = knob("", default=1)
    high: int = knob("", default=2)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ConfigError(f"Ordered.low must be below high ({self.high}), got {self.low}")


def refusal(make: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    return str(caught.value)


def test_a_config_is_frozen_and_made_by_name():
    kitchen = Kitchen(count=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kitchen.count = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        _ = Kitchen(2)  # type: ignore[misc]
    assert kitchen == Kitchen(count=2)
    assert hash(kitchen) == hash(Kitchen(count=2))


def test_a_knob_is_written_once_and_read_by_all():
    assert list(knobs(Kitchen)) == ["count", "heat", "gas", "name", "minutes", "sizes", "inner", "inners"]
    assert knobs(Kitchen)["count"] == Knob("how many", "cups", 1, 12, None)
    assert defaults(Kitchen)["count"] == 7
    assert defaults(Needy) == {"may": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "Kitchen.count must be between 1 and 12 cups, got 0"),
        ({"count": 13}, "Kitchen.count must be between 1 and 12 cups, got 13"),
        ({"count": 2.5}, "Kitchen.count must be a whole number, got 2.5"),
        ({"count": True}, "Kitchen.count must be a whole number, got True"),
        ({"count": None}, "Kitchen.count must be a whole number, got None"),
        ({"heat": -1}, "Kitchen.heat must be at least 0, got -1.0"),
        ({"heat": math.nan}, "Kitchen.heat must be at least 0, got nan"),
        ({"heat": math.inf}, "Kitchen.heat must be at least 0, got inf"),
        ({"heat": "hot"}, "Kitchen.heat must be a number, got 'hot'"),
        ({"gas": 1}, "Kitchen.gas must be true or false, got 1"),
        ({"name": "cake"}, "Kitchen.name must be one of tea, soup, got 'cake'"),
        ({"minutes": 91}, "Kitchen.minutes must be at most 90 min, got 91.0"),
        ({"minutes": "long"}, "Kitchen.minutes must be a number or none, got 'long'"),
        ({"sizes": (1, "2")}, "Kitchen.sizes must be a whole number, got '2'"),
        ({"inner": {"size": 0}}, "Inner.size must be at least 1, got 0"),
        ({"inner": {"sise": 1}}, "Inner has no setting 'sise'; did you mean 'size'?"),
        ({"inner": 3}, "Kitchen.inner must be Inner, got 3"),
        ({"cuont": 1}, "Kitchen has no setting 'cuont'; did you mean 'count'?"),
        ({"zzz": 1}, "Kitchen has no setting 'zzz'; there are: count, heat, gas, name, minutes, sizes, inner, inners"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(settings: dict[str, Any], message: str):
    assert refusal(lambda: load(Kitchen, settings)) == message


def test_a_knob_without_limits_still_needs_a_number():
    assert refusal(lambda: Loose(free=math.inf)) == "Loose.free must be a finite number, got inf"
    assert refusal(lambda: Ordered(low=-(10**9), high=math.inf)) == "Ordered.high must be a whole number, got inf"  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{", "[" * 3000, '{"a":' * 3000])
def test_what_is_no_json_or_nested_too_deep_is_no_value(text: str):
    with pytest.raises(ValueError):  # noqa: PT011
        _ = from_json(text)


def test_a_field_that_is_no_knob_is_checked_for_its_kind_alone():
    assert refusal(lambda: Loose(bare="x")) == "Loose.bare must be a whole number, got 'x'"  # type: ignore[arg-type]
    assert knobs(Loose)["bare"] == Knob("")
    assert Loose(anything=[1], bare=-5).anything == [1]


def test_the_ends_of_a_range_are_within():
    assert (Kitchen(count=1).count, Kitchen(count=12).count, Kitchen(heat=0).heat) == (1, 12, 0.0)


def test_whole_numbers_become_numbers():
    assert isinstance(Kitchen(heat=2).heat, float)


def test_rules_of_the_class_are_checked_after_those_of_its_knobs():
    assert refusal(lambda: Ordered(low=2, high=2)) == "Ordered.low must be below high (2), got 2"
    assert refusal(lambda: Ordered(low="2")) == "Ordered.low must be a whole number, got '2'"  # type: ignore[arg-type]
    assert Ordered(low=0).high == 2


def test_a_value_without_a_default_must_be_given():
    assert refusal(lambda: load(Needy, {"may": 2})) == "Needy needs a value for 'must'"
    assert load(Needy, {"must": 2}) == Needy(must=2)


def test_settings_are_a_table():
    assert refusal(lambda: load(Needy, [1])) == "Needy needs a table of settings, got [1]"  # type: ignore[arg-type]


def test_plain_data_is_ready_for_json_and_comes_back():
    kitchen = Kitchen(sizes=(4,), inner=Inner(size=9), inners=(Inner(), Inner(size=2)), minutes=3)
    data = plain(kitchen)
    assert data["sizes"] == [4]
    assert data["inners"] == [{"size": 3}, {"size": 2}]
    assert data["minutes"] == 3.0
    assert load(Kitchen, data) == kitchen


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("count=2", {"count": 2}),
        (" count = 2 , heat = 3 ", {"count": 2, "heat": 3.0}),
        ("minutes=none", {"minutes": None}),
        ("minutes=None,gas=yes", {"gas": True}),
        ("minutes=1e1", {"minutes": 10.0}),
        ("gas=OFF", {"gas": False}),
        ("name=soup,", {"name": "soup"}),
    ],
)
def test_settings_can_be_typed(text: str, settings: dict[str, Any]):
    assert parse(Kitchen, text) == Kitchen(**settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count", "settings are written knob=value with commas between, got 'count'"),
        ("count=two", "Kitchen.count must be a whole number, got 'two'"),
        ("count=2.5", "Kitchen.count must be a whole number, got '2.5'"),
        ("gas=perhaps", "Kitchen.gas must be true or false, got 'perhaps'"),
        ("minutes=x", "Kitchen.minutes must be a number or none, got 'x'"),
        ("count=99", "Kitchen.count must be between 1 and 12 cups, got 99"),
        ("coutn=2", "Kitchen has no setting 'coutn'; did you mean 'count'?"),
        ("name=cake", "Kitchen.name must be one of tea, soup, got 'cake'"),
    ],
)
def test_typing_errors_are_refused_in_one_line(text: str, message: str):
    assert refusal(lambda: parse(Kitchen, text)) == message


@given(st.integers(1, 12), st.floats(0, 1e300), st.booleans(), st.none() | st.floats(-1e9, 90))
def test_what_is_typed_back_is_the_same(count: int, heat: float, gas: bool, minutes: float | None):
    kitchen = Kitchen(count=count, heat=heat, gas=gas, minutes=minutes)
    assert parse(Kitchen, unparse(kitchen)) == kitchen


def test_defaults_are_left_out_of_the_text():
    assert unparse(Kitchen()) == ""
    assert unparse(Kitchen(count=2, gas=True)) == "count=2,gas=True"
    assert unparse(Needy(must=1)) == "must=1"


def test_a_plug_in_is_written_as_its_name_and_settings():
    known: Registry[Any] = Registry("room")
    _ = known("kitchen")(Kitchen)
    for text in ("kitchen", "kitchen:count=3", "kitchen:count=3,heat=2.0"):
        assert unparse_named(known, parse_named(known, text)) == text
    assert parse_named(known, " kitchen :count=3") == Kitchen(count=3)
    with pytest.raises(ConfigError, match="no room called 'kichen'; did you mean 'kitchen'"):
        _ = parse_named(known, "kichen:count=3")
    with pytest.raises(ConfigError, match="Inner is not a registered room"):
        _ = unparse_named(known, Inner())
