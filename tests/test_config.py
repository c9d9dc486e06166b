from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from dextr_vos.config import Settings, as_yaml, load_settings
from dextr_vos.errors import ConfigError


class Optimiser(Settings):
    rate: float = Field(default=1e-3, gt=0, le=1)
    steps: int = Field(default=10, ge=1)
    kind: Literal["sgd", "adam"] = "sgd"
    size: tuple[int, int] = (3, 4)
    either: int | str = 3
    folder: Path | None = None
    nesterov: bool = False


class Recipe(Settings):
    name: str = Field(default="base", min_length=1)
    optimiser: Optimiser = Optimiser()
    stages: tuple[Optimiser, ...] = ()
    names: dict[int, str] = Field(default={})

    @model_validator(mode="after")
    def _agrees(self) -> "Recipe":
        if self.name == "two" and len(self.stages) != 2:
            raise ValueError(f"expected two stages in the recipe 'two', got {len(self.stages)}")
        return self


@pytest.fixture
def load(tmp_path):
    def load_text(text, *overrides):
        path = tmp_path / "x.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(Recipe, path, overrides)

    return load_text


def test_defaults_without_a_file_and_from_an_empty_one(load):
    assert load_settings(Recipe, None) == load("") == load("# nothing\n") == Recipe()


def test_every_kind_of_value(load):
    recipe = load(
        "name: 'no'\n"
        "optimiser: {rate: 1e-4, steps: 3, kind: adam, size: [5, 6], either: x, folder: a/b,\n"
        "  nesterov: true}\n"
        "stages:\n  - rate: 1\n  - {}\n"
        "names: {1: horse}\n"
    )
    assert recipe.optimiser == Optimiser(
        rate=1e-4, steps=3, kind="adam", size=(5, 6), either="x", folder=Path("a/b"), nesterov=True
    )
    assert recipe.stages == (Optimiser(rate=1.0), Optimiser())
    assert (recipe.name, recipe.names) == ("no", {1: "horse"})


def test_overrides_win_and_the_last_one_most(load):
    recipe = load("name: a\noptimiser: {rate: 1, steps: 5}", "optimiser.rate=1e-4", "name=b", "name=c")
    assert (recipe.name, recipe.optimiser.rate, recipe.optimiser.steps) == ("c", 1e-4, 5)
    assert load("", "optimiser.size=[7, 8]").optimiser.size == (7, 8)
    assert load("", "optimiser.folder=a=b").optimiser.folder == Path("a=b")


def test_an_override_mends_a_errors_of_the_file(load):
    assert load("optimiser: {rate: fast}", "optimiser.rate=0.5").optimiser.rate == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "optimiser:\n  rate: fast",
            "x.yaml line 2: optimiser.rate: expected a number above 0 and of at most 1",
        ),
        (
            "optimiser:\n  rate: 2",
            "line 2: optimiser.rate: expected a number above 0 and of at most 1, got 2",
        ),
        ("optimiser: {rate: .nan}", "expected a finite number, got nan"),
        ("optimiser: {rate: true}", "got true"),
        ("optimiser: {steps: 1.5}", "expected a whole number of at least 1, got 1.5"),
        ("optimiser: {steps: '3'}", "expected a whole number of at least 1, got '3'"),
        ("optimiser: {nesterov: 1}", "expected true or false, got 1"),
        ("optimiser: {kind: fast}", "expected 'sgd' or 'adam', got 'fast'"),
        ("optimiser: {either: [1]}", r"optimiser.either: expected a whole number or text, got \[1\]"),
        ("optimiser: {size: [1]}", "optimiser.size: expected a longer list"),
        ("optimiser: {size: [1, 2, 3]}", "optimiser.size: expected at most 2 items"),
        ("optimiser: {size: [1, a]}", "optimiser.size.1: expected a whole number, got 'a'"),
        ("optimiser: 3", "optimiser: expected a group of `key: value` lines, got 3"),
        ("optimiser:", "optimiser: expected a group of `key: value` lines, got nothing"),
        ("stages:\n  - {}\n  - rate: -1", "line 3: stages.1.rate: expected a number above 0"),
        ("stages: {}", "stages: expected a list"),
        ("names: {x: a}", "names.x: expected a whole number, got 'x'"),
        ("names:\n  1: a\n  3: 4", "line 3: names.3: expected text, got 4"),
        ("name: ''", "name: expected text to have at least 1 character, got ''"),
        ("name: two", "x.yaml: expected two stages in the recipe 'two', got 0"),
        ("\n\noptimizer: {}", r"line 3: optimizer: unknown setting; did you mean optimiser\?"),
        ("optimiser: {rat: 1}", r"optimiser.rat: unknown setting; did you mean rate\?"),
        ("zzz: 1", "zzz: unknown setting; known are name, optimiser, stages, names"),
        ("name: a\nname: b", 'line 2: cannot be read as YAML: found duplicate key "name"$'),
        ("name: [", "line 1: cannot be read as YAML"),
        ("a: 1\n---\nb: 2", "cannot be read as YAML: .*another document"),
        ("- 3", r"x.yaml: expected settings as `key: value` lines, got \[3\]"),
        ("[1, 2]: 3", "x.yaml: these are not settings"),
        ("stages: &a [*a]", "x.yaml: expected at most 20000 values, counting aliases, got more"),
    ],
)
def test_errors_of_a_file(load, text, words):
    with pytest.raises(ConfigError, match=words):
        load(text)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("name", "expected key=value or group.key=value, got 'name'"),
        ("=3", "expected key=value"),
        ("optimiser..rate=3", "expected key=value"),
        ("name.inner=3", "name.inner=3: name is not a group of settings"),
        ("name=[1", r"name=\[1: the value is no YAML; put quotes around it"),
        ("optimiser.rate=fast", "optimiser.rate=fast: expected a number above 0"),
        ("optimiser.rat=1", r"optimiser.rat=1: unknown setting; did you mean rate\?"),
        ("zzz.rate=1", "zzz.rate=1: zzz: unknown setting"),
    ],
)
def test_errors_of_overrides(load, override, words):
    with pytest.raises(ConfigError, match=words):
        load("name: a\noptimiser: {rate: 1}", override)


def test_all_errors_are_reported_at_once_in_the_order_of_lines(load):
    with pytest.raises(
        ConfigError,
        match=r"^expected key=value.*; steps=1: unknown.*; .* line 3: optimiser.rate.*; .* line 4: z",
    ):
        load("name: a\noptimiser:\n  rate: fast\nzzz: 1\n", "stray", "steps=1")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no settings file .*nowhere.yaml"):
        load_settings(Recipe, tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        load_settings(Recipe, tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match=r"cannot read the settings file .*latin.yaml"):
        load_settings(Recipe, tmp_path / "latin.yaml")


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Recipe().name = "other"


@pytest.mark.parametrize("name", ["1e-3", "yes", "null", "a: b", "ünï", "#", " x ", "2020-01-01"])
def test_yaml_reads_back_equal(load, name):
    recipe = Recipe(
        name=name,
        optimiser=Optimiser(rate=1e-7, folder=Path("a b/ü"), either=name),
        stages=(Optimiser(), Optimiser(steps=2)),
        names={1: name},
    )
    assert load(as_yaml(recipe)) == recipe


def test_yaml_keeps_the_order_of_the_model():
    lines = as_yaml(Recipe()).splitlines()
    assert [line.partition(":")[0] for line in lines if line[0].isalpha()] == list(Recipe.model_fields)


@pytest.mark.parametrize("value", ["2026-13-45", "!!int x", "9" * 5000, "[" * 5000, "&x [*x]"])
def test_values_that_cannot_be_are_refused_in_files_and_overrides(load, value):
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        load(f"name: {value}")
    with pytest.raises(ConfigError, match="the value is no YAML; put quotes around it"):
        load("", f"name={value}")
