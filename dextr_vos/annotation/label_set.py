"""The label set: the names that objects may have, with their colours and keys, in a `labels.yaml`.

```yaml
labels:
  - name: horse
    colour: "#e69f00"   # optional; else each object has a colour of its own
    key: h              # optional; else 1 to 9, by place
  - name: rider
```
"""

import io
import logging
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from ruamel.yaml import YAML

from dextr_vos.config import Settings, load_settings
from dextr_vos.errors import ConfigError
from dextr_vos.files import read_text, refuse_links, write_text

log = logging.getLogger(__name__)


def _as_text(value: Any) -> Any:
    """YAML reads `1` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_key(value: Any) -> Any:
    """Upper and lower case are one key."""
    text = _as_text(value)
    return text.lower() if isinstance(text, str) else text


Name = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        min_length=1,
        max_length=80,
        pattern=r"^[^\x00-\x1f]*$",
        json_schema_extra={"type": ["string", "integer"]},
    ),
]


class Label(Settings):
    """A name that objects may have.

    Attributes:
        name: of the objects, and of their category in exports.
        colour: `#rrggbb` of the first object with this name; None leaves the object its own.
        key: a lower-case letter or a digit that chooses the label in the page's list, with Shift or without;
            None for the digit of its place. It may be given in upper case.
    """

    name: Name
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    key: Annotated[str, BeforeValidator(_as_key), Field(pattern=r"^[a-z0-9]$")] | None = None


class LabelSet(Settings):
    """All labels, in the order of the list."""

    labels: Annotated[tuple[Label, ...], Field(json_schema_extra={"type": ["array", "null"]})] = ()

    @field_validator("labels", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object) -> object:
        return tuple(value or ()) if value is None or isinstance(value, list) else value

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        for what in ("name", "key"):
            values = [value for label in labels if (value := getattr(label, what)) is not None]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"expected each {what} once, got '{twice}' twice")
        return labels


def read_labels_file(path: Path) -> LabelSet:
    """The labels of a `labels.yaml`.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or holds something else.
    """
    return load_settings(LabelSet, path)


def write_labels_file(path: Path, labels: LabelSet) -> None:
    """Write a `labels.yaml`, atomically; comments above its first line stay."""
    text = io.StringIO()
    yaml = YAML()
    content = yaml.load(read_text(path)) if path.is_file() else None
    made = labels.model_dump(mode="json", exclude_none=True)
    if content is None:
        content = made
    else:
        content.update(made)
    yaml.dump(content, text)
    write_text(path, text.getvalue(), durable=True)


class LabelFile:
    """A `labels.yaml` that a person may edit while the page is open.

    One that cannot be used is logged, and there are no labels until it is corrected.

    Args:
        path: of the file; it need not exist.
        shared: the one that counts where there is none, as that of a project; None: there is no such file.
    """

    def __init__(self, path: Path, shared: Path | None = None) -> None:
        self._paths = [path] if shared is None else [path, shared]
        self._stamp: tuple[int, ...] | None = None
        self._labels = LabelSet()
        try:
            self.read()
        except ConfigError as error:
            log.warning("%s", error)

    def read(self) -> LabelSet:
        """The labels as they are in the file now.

        Raises:
            ConfigError: the file cannot be used; the labels before the error stay until it can.
        """
        found = next((path for path in self._paths if path.is_file()), None)
        if found is None:
            self._stamp, self._labels = None, LabelSet()
            return self._labels
        status = found.stat()
        stamp = (self._paths.index(found), status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp = stamp  # an error is reported once
            self._labels = read_labels_file(found)
        return self._labels

    @property
    def labels(self) -> LabelSet:
        """The labels when they were read last."""
        return self._labels

    def write(self, labels: LabelSet) -> None:
        """Replace the labels of this workspace.

        Raises:
            ConfigError: somebody has written a file that cannot be used, and would be lost.
            InputError: the file is a symbolic link.
        """
        refuse_links(self._paths[0])
        if self._paths[0].is_file():
            read_labels_file(self._paths[0])
        write_labels_file(self._paths[0], labels)
        self.read()
