"""The propagation network of a cell, with the recipe that the settings ask for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dextr_vos.benchmark.settings import BenchmarkSettings, Network
from dextr_vos.errors import ConfigError
from dextr_vos.propagation.recipe import changed
from dextr_vos.propagation.tiers import Tier, check_following, tier_named


def tier_of(network: Network, settings: BenchmarkSettings) -> Tier:
    """A tier with its recipe changed and its precision chosen.

    Raises:
        ConfigError: the recipe has an unknown key, a value of the wrong kind, or one not for this network.
    """
    tier = tier_named(network)
    try:
        recipe = changed(tier.recipe, list(_dotted(settings.recipe.get(network, {}))))
        tier = replace(tier, recipe=recipe, half=tier.half and settings.precision == "auto")
        check_following(tier)
    except ConfigError as fault:
        raise ConfigError(f"recipe.{network}: {fault}") from None
    return tier


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """`key=value` of each value, groups as `group.key=value`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}={json.dumps(value)}"
