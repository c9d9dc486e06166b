import re
from dataclasses import replace
from pathlib import Path

import pytest

from dextr_vos.errors import ConfigError
from dextr_vos.pipeline import PropagationOptions
from dextr_vos.propagation.models import LITE, MODELS_BY_NAME, PAPER
from dextr_vos.propagation.settings import KEYS, changed

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"

BOTH = pytest.mark.parametrize("model", MODELS_BY_NAME.values(), ids=lambda model: model.name)

# a good value and what is read, a bad value and what is said of it
VALUES = {
    "longest_side": ("320", 320, "31", "a number of at least 32, got 31"),
    "batch": ("3", 3, "0", "a number of at least 1, got 0"),
    "accumulate_grad": ("2", 2, "0", "a number of at least 1, got 0"),
    "max_steps": ("7", 7, "many", "a whole number, got 'many'"),
    "steps_a_keyframe": ("20", 20, "0", "a number of at least 1, got 0"),
    "correction_steps": ("0", 0, "-1", "a number of at least 0, got -1"),
    "alpha": ("0.25", 0.25, "1.5", "a number of at most 1, got 1.5"),
    "alpha_clicked": ("1", 1.0, "-0.5", "a number of at least 0, got -0.5"),
    "small_components": ("0.1", 0.1, "7", "a number of at most 1, got 7"),
    "tracking.longest_side": ("480", 480, "null", "a whole number, got "),
    "tracking.max_keyframes": ("2", 2, "0", "a number of at least 1, got 0"),
    "tracking.max_recent": ("0", 0, "-1", "a number of at least 0, got -1"),
    "tracking.mem_every": ("5", 5, "2.5", "a whole number, got 2.5"),
    "tracking.bidirectional": ("false", False, "1", "true or false, got 1"),
    "tracking.confidence_power": ("0", 0.0, "-1", "a number of at least 0, got -1"),
    "tracking.across_cuts": ("true", True, "0", "true or false, got 0"),
}


def value_of(recipe, key):
    for part in key.split("."):
        recipe = getattr(recipe, part)
    return recipe


def test_every_key_has_values_here_and_a_row_in_the_documents():
    assert VALUES.keys() == KEYS.keys()
    documented = re.findall(r"^\| `([a-z_.]+)` \|", FORMATS.read_text(encoding="utf-8"), re.M)
    assert [key for key in KEYS if documented.count(key) != 1] == []


@BOTH
@pytest.mark.parametrize("key", KEYS)
def test_every_key_takes_a_good_value_and_changes_nothing_else(model, key):
    text, value, _, _ = VALUES[key]
    recipe = changed(model.recipe, [f"{key}={text}"])
    assert value_of(recipe, key) == value
    group, _, field = key.rpartition(".")
    if group:
        restored = replace(recipe, tracking=replace(recipe.tracking, **{field: value_of(model.recipe, key)}))
    else:
        restored = replace(recipe, **{field: value_of(model.recipe, key)})
    if key == "max_steps":  # as many as that, whatever the keyframes
        assert recipe.steps_a_keyframe is None
        restored = replace(restored, steps_a_keyframe=model.recipe.steps_a_keyframe)
    assert restored == model.recipe


@BOTH
@pytest.mark.parametrize("key", KEYS)
def test_every_key_refuses_a_bad_value_by_name(model, key):
    _, _, text, message = VALUES[key]
    with pytest.raises(ConfigError, match=re.escape(f"{key}={text}: expected {message}")):
        changed(model.recipe, [f"{key}={text}"])


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        *(("alph=3", "alpha"), ("steps=3", "max_steps"), ("tracking.max_recents=1", "tracking.max_recent")),
        *(("tolerance=0.5", ""), ("scene.own=0.25", ""), ("pool=3", ""), ("=1", "")),
    ],
)
def test_any_other_key_is_refused_with_the_nearest_or_the_list(setting, nearest):
    hint = f"did you mean {nearest}?" if nearest else f"known are {', '.join(KEYS)}"
    with pytest.raises(ConfigError, match=re.escape(f"{setting}: unknown setting; {hint}")):
        changed(LITE.recipe, [setting])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["max_steps"], "max_steps is a setting: write max_steps=VALUE (docs/formats.md#settings-of"),
        (["batch=1", "alpha", "0.3"], "alpha is a setting: write alpha=0.3 (docs/formats.md#settings-of"),
        (["0.3"], "expected key=value"),
        ([""], "expected key=value"),
    ],
)
def test_a_setting_without_a_value_is_refused(settings, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        changed(LITE.recipe, settings)


def test_all_errors_are_reported_at_once_and_the_last_value_counts():
    with pytest.raises(ConfigError, match=r"batch=0: .*max_steps=-1: "):
        changed(LITE.recipe, ["batch=0", "max_steps=-1"])
    assert changed(LITE.recipe, ["batch=3", "correction_steps=5", "batch=4"]) == replace(
        LITE.recipe, batch=4, correction_steps=5
    )


def test_only_a_model_that_may_keep_the_frames_size_takes_null():
    assert changed(PAPER.recipe, ["longest_side=null"]).longest_side is None


@BOTH
def test_without_settings_the_recipe_stays(model):
    assert changed(model.recipe, []) == model.recipe
    assert changed(model.recipe, [f"alpha={model.recipe.alpha}"]) == model.recipe


def test_a_step_limit_leaves_room_for_the_training_before_the_cool_down():
    recipe = replace(LITE.recipe, max_steps=100, correction_steps=30, cooldown=30)
    limited = [recipe.limited_to(steps) for steps in (100, 50, 11, 1, 0)]
    assert [(each.max_steps, each.cooldown) for each in limited] == [
        *((100, 30), (50, 25), (11, 5), (1, 0), (0, 0))
    ]


@pytest.mark.parametrize(
    ("count", "steps", "alpha"), [(0, 40, 0.7), (1, 40, 0.7), (2, 80, 0.85), (3, 120, 0.9), (9, 160, 0.925)]
)
def test_with_more_keyframes_it_learns_longer_and_keeps_more_of_it(count, steps, alpha):
    recipe = LITE.recipe.for_keyframes(count)
    assert (recipe.max_steps, recipe.cooldown) == (steps, LITE.recipe.cooldown)
    assert (recipe.alpha, recipe.alpha_clicked) == (pytest.approx(alpha), LITE.recipe.alpha_clicked)
    # a limit that was given is not changed, and neither are alphas of 0 and 1
    assert changed(LITE.recipe, ["max_steps=50"]).for_keyframes(count).max_steps == 50
    both = changed(LITE.recipe, ["steps_a_keyframe=10", "max_steps=25"]).for_keyframes(count)
    assert both.max_steps == min(25, steps // 4)
    for kept in (0.0, 1.0):
        assert replace(LITE.recipe, alpha=kept).for_keyframes(count).alpha == kept
    assert PAPER.recipe.for_keyframes(count) == PAPER.recipe


def test_a_step_limit_that_was_given_holds_for_any_number_of_keyframes():
    for given, steps in (((), 200), (("steps_a_keyframe=30",), 30)):
        recipe = PropagationOptions(max_steps=200, settings=given).chosen_model().recipe
        assert recipe.for_keyframes(1).max_steps == steps


def test_a_correction_takes_fewer_steps_and_never_more_than_were_allowed():
    recipe = replace(LITE.recipe, max_steps=100, correction_steps=30, correction_pool=7)
    assert recipe.for_correction().max_steps == 30
    assert recipe.for_correction().pool == 7
    assert recipe.limited_to(8).for_correction().max_steps == 8
    for model in (LITE, PAPER):
        assert model.recipe.correction_steps < model.recipe.max_steps
