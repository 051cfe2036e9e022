"""Names for plug-ins."""

import pytest

from ostinato.errors import ConfigError
from ostinato.registry import Registry, nearest


@pytest.fixture
def animals() -> Registry[object]:
    return Registry("animal")


def test_a_class_is_found_under_its_name(animals: Registry[object]):
    @animals("cat")
    class Cat:
        pass

    @animals("dog")
    class Dog:
        pass

    assert animals["cat"] is Cat
    assert animals.name(Dog) == "dog"
    assert list(animals) == ["cat", "dog"]
    assert len(animals) == 2


def test_a_name_is_taken_once(animals: Registry[object]):
    @animals("cat")
    class Cat:
        pass

    with pytest.raises(ConfigError, match="animal 'cat' is registered twice"):

        @animals("cat")
        class Other:
            pass

    assert animals["cat"] is Cat


def test_a_misspelt_name_is_refused_with_the_nearest(animals: Registry[object]):
    _ = animals("giraffe")(type("Giraffe", (), {}))
    _ = animals("cat")(type("Cat", (), {}))
    with pytest.raises(ConfigError) as refusal:
        _ = animals["girafe"]
    assert str(refusal.value) == "no animal called 'girafe'; did you mean 'giraffe'?"
    with pytest.raises(ConfigError) as refusal:
        _ = animals["wolf"]
    assert str(refusal.value) == "no animal called 'wolf'; there are: giraffe, cat"


def test_an_empty_table_says_that_there_is_nothing(animals: Registry[object]):
    with pytest.raises(ConfigError, match="no animal called 'cat'; there are: none"):
        _ = animals["cat"]


def test_a_stranger_has_no_name(animals: Registry[object]):
    with pytest.raises(ConfigError, match="int is not a registered animal"):
        _ = animals.name(int)


def test_the_nearest_is_asked_for_or_all_are_listed():
    assert nearest("tmeperature", ["steps", "temperature"]) == "did you mean 'temperature'?"
    assert nearest("x", ["steps", "temperature"]) == "there are: steps, temperature"
    assert nearest("x", []) == "there are: none"
