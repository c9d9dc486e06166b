"""Settings: frozen pydantic models, read from YAML (1.2), with `key=value` overrides.

All errors of a file and of its overrides are reported together, each with its line.
"""

import difflib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from dextr_vos.errors import ConfigError, InputError, counted
from dextr_vos.files import read_text
from dextr_vos.yaml_text import parse_yaml

Place = tuple[str | int, ...]


class Settings(BaseModel):
    """Base class of all settings: frozen, without unknown keys.

    A validator's ValueError should read "expected …, got …"; it is reported with its place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


T = TypeVar("T", bound=Settings)


def load_settings(
    model: type[T],
    path: Path | None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> T:
    """Load settings from a YAML file, with overrides.

    Types are strict: a string is not a number, and 1 is not true.

    Args:
        model: class of the settings.
        path: YAML file; None for the defaults of the model.
        overrides: `a.b=3`, with the value as in YAML; they take precedence over the file, later ones over
            earlier ones.
        base: plain values over which the file takes precedence.

    Raises:
        ConfigError: the file is missing, is no YAML or has a duplicate key, or the settings are wrong; one
            sentence lists all errors.
    """
    text = "" if path is None else _read_text(path)
    values, root = _parse(text, str(path))
    values = json.loads(json.dumps(base or {})) | values
    errors: list[str] = []
    given: dict[Place, str] = {}
    for override in overrides:
        try:
            given[_put(values, override)] = override
        except ConfigError as error:
            errors.append(str(error))
    try:
        text = json.dumps(values, default=str)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: these are not settings: {error}") from None
    try:
        # as JSON, strictness still lets a list be a tuple and text be a path or an enumeration
        settings = model.model_validate_json(text, strict=True)
    except ValidationError as error:
        errors += _descriptions(error, model, values, root, str(path) if path else "settings", given)
    if errors:
        raise ConfigError("; ".join(dict.fromkeys(errors)))
    return settings


def top_level_value(path: Path, key: str) -> object:
    """The value of a top-level key in a YAML file, None if it is missing; it may decide on the model to load.

    Raises:
        ConfigError: the file is missing or no YAML.
    """
    return _parse(_read_text(path), str(path))[0].get(key)


def as_yaml(settings: Settings) -> str:
    """Settings as YAML text, from which `load_settings` reads equal settings."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.allow_unicode = True
    yaml.dump(settings.model_dump(mode="json"), stream)
    return stream.getvalue()


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}") from None
    except (OSError, InputError) as error:
        raise ConfigError(f"cannot read the settings file {path}: {error}") from None


def _parse(text: str, where: str) -> tuple[dict[str, Any], Node | None]:
    """A YAML mapping, and its nodes with their line numbers."""
    values, root = parse_yaml(text, where)
    if values is None:
        return {}, None
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected settings as `key: value` lines, got {_shown(values)}")
    return values, root


def _put(values: dict[str, Any], override: str) -> Place:
    """Apply an override and return its place."""
    key, equals, text = override.partition("=")
    override = _one_line(override)
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"expected key=value or group.key=value, got {override!r}")
    try:
        value, _ = parse_yaml(text, override)
    except ConfigError:
        raise ConfigError(f"{override}: the value is no YAML; put quotes around it") from None
    inner = values
    for name in names[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override}: {name} is not a group of settings")
    inner[names[-1]] = value
    return tuple(names)


def _one_line(override: str) -> str:
    """An override as messages show it."""
    text = " ".join(override.split())
    return text if len(text) <= 120 else f"{text[:117]}…"


def _descriptions(
    error: ValidationError,
    model: type[BaseModel],
    values: dict[str, Any],
    root: Node | None,
    where: str,
    given: Mapping[Place, str],
) -> list[str]:
    """One clause per error, in the order of lines: its place, what was expected, what was found."""
    clauses: dict[tuple[int, str, str], list[str]] = {}
    for detail in error.errors():
        place = _real_place(detail, values)
        line = _line(root, place)
        override = next((_one_line(text) for key, text in given.items() if place[: len(key)] == key), None)
        if override is None and line is None:  # a group that only an override made
            override = next(
                (_one_line(text) for key, text in given.items() if place and key[: len(place)] == place),
                None,
            )
        source = override or (f"{where} line {line}" if line else where)
        named = override is not None and place in given  # an override begins with its place
        start = ": ".join(filter(None, [source, "" if named else ".".join(str(part) for part in place)]))
        wants = clauses.setdefault((0 if override else line or 0, start, _got(detail)), [])
        wants.append(_expected(detail, place, model))
    # each branch of a union reports an error of its own
    return [
        f"{start}: {' or '.join(dict.fromkeys(wants)).replace(' or expected ', ' or ')}{got}"
        for (_, start, got), wants in sorted(clauses.items(), key=lambda clause: clause[0][0])
    ]


def _real_place(detail: ErrorDetails, values: object) -> Place:
    """The place of an error without the names that pydantic adds for the branches of a union."""
    place: list[str | int] = []
    last = len(detail["loc"]) - 1
    for index, part in enumerate(detail["loc"]):
        if isinstance(values, dict):
            # YAML has keys that are numbers, JSON only text
            keys = {str(key): key for key in values}
            if str(part) not in keys and not (detail["type"] == "missing" and index == last):
                break
            values = values.get(keys.get(str(part)))
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            break
        place.append(part)
    return tuple(place)


def _line(node: Node | None, place: Place) -> int | None:
    """Line of a place in the file, from 1, or of the innermost group around it."""
    line = None
    for part in place:
        if isinstance(node, MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a group of `key: value` lines",
    "model": "a group of `key: value` lines",
    "path": "a path",
}
_OUT_OF_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_BOUNDS = (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "of at most"))


def _expected(detail: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    """What was expected at a place, from the type of pydantic's error."""
    models, field = _field(model, place)
    group, _, rest = detail["type"].partition("_")
    match detail["type"]:
        case "extra_forbidden":
            known = [name for owner in models for name in owner.model_fields]
            return unknown_setting(str(detail["loc"][-1]), known)
        case "unexpected_keyword_argument":  # of a dataclass
            return "unknown setting"
        case "missing":
            in_list = isinstance(detail["loc"][-1], int)
            return "expected a longer list" if in_list else "this setting is missing"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case "too_short":
            return f"expected at least {counted(detail['ctx']['min_length'], 'item')}"
        case "too_long":
            return f"expected at most {counted(detail['ctx']['max_length'], 'item')}"
        case "float_type" | "int_type" | "int_from_float":
            return f"expected {_KINDS[group]}{_limits(field)}"
        case kind if kind in _OUT_OF_BOUNDS:
            if field is None:  # of a dataclass: only the violated bound is known
                bounds = [
                    f"{word} {detail['ctx'][name]:g}" for name, word in _BOUNDS if name in detail["ctx"]
                ]
                return f"expected a number {' and '.join(bounds)}"
            whole = field.annotation is int
            return f"expected {_KINDS['int' if whole else 'float']}{_limits(field)}"
    if rest in ("type", "parsing", "attributes_type") and group in _KINDS:
        return f"expected {_KINDS[group]}"
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")
    return f"expected {text.replace('String should', 'text to')}"


def unknown_setting(name: str, known: Sequence[str]) -> str:
    """What is wrong with the name of a setting, with the nearest of those that are known, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"unknown setting; {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)}"


def _limits(field: FieldInfo | None) -> str:
    """The bounds of a number as they follow its type: " above 0 and of at most 1"."""
    rules = [] if field is None else field.metadata
    limits = [
        f"{word} {getattr(rule, name):g}"
        for rule in rules
        for name, word in _BOUNDS
        if getattr(rule, name, None) is not None
    ]
    return " " + " and ".join(limits) if limits else ""


def _got(detail: ErrorDetails) -> str:
    without_value = ("extra_forbidden", "unexpected_keyword_argument", "missing", "value_error")
    return "" if detail["type"] in without_value else f", got {_shown(detail['input'])}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _field(model: type[BaseModel], place: Place) -> tuple[list[type[BaseModel]], FieldInfo | None]:
    """The models that may contain a place, and the field at that place."""
    models, field = [model], None
    for index, part in enumerate(place):
        field = next(
            (owner.model_fields[str(part)] for owner in models if str(part) in owner.model_fields), None
        )
        if field is not None and index < len(place) - 1:
            models = _models_in(field.annotation) or models
    return models, field


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
