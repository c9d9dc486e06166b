import pytest

from dextr_vos.errors import ConfigError
from dextr_vos.propagation.models import LITE, OSVOS
from dextr_vos.propagation.settings import changed


def test_values_take_the_place_of_the_recipes():
    recipe = changed(LITE.recipe, ["max_steps=7", "scene.own=0.25", "tolerance=0.5"])
    assert (recipe.max_steps, recipe.tolerance, recipe.batch) == (7, 0.5, LITE.recipe.batch)
    assert recipe.scene is not None
    assert (recipe.scene.own, recipe.scene.size_hw) == (0.25, LITE.recipe.scene.size_hw)
    assert changed(OSVOS.recipe, ["augmentation.flip=false"]).augmentation.flip is False


@pytest.mark.parametrize("model", [LITE, OSVOS], ids=lambda model: model.name)
def test_what_is_not_changed_stays(model):
    assert changed(model.recipe, []) == model.recipe
    assert changed(model.recipe, [f"max_steps={model.recipe.max_steps}"]) == model.recipe


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("steps=3", "steps: unknown setting"),
        ("scene.owned=1", "scene.owned: unknown setting"),
        ("max_steps=many", "max_steps: expected a whole number, got 'many'"),
        ("max_steps", "expected key=value"),
        ("batch=0", "batch: expected a number of at least 1, got 0"),
        ("max_steps=-1", "max_steps: expected a number of at least 0, got -1"),
        ("pool=-3", "pool: expected a number of at least 0, got -3"),
        ("following.memories=0", "following.memories: expected a number of at least 1, got 0"),
        ("following.islands=7", "following.islands: expected a number of at most 1, got 7"),
        ("scene.others=1.0", "scene.others: expected a number below 1, got 1.0"),
    ],
)
def test_faults_are_told_with_the_setting(setting, told):
    with pytest.raises(ConfigError, match=told):
        changed(LITE.recipe, [setting])
