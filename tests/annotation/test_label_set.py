"""The label set in a `labels.yaml`: read, written, and refused with one sentence."""

import os

import pytest

from dextr_vos.annotation.label_set import Label, LabelFile, LabelSet, read_labels_file, write_labels_file
from dextr_vos.errors import ConfigError


def test_what_is_written_is_read(tmp_path):
    labels = LabelSet(labels=(Label(name="horse", colour="#e69f00", key="h"), Label(name="rider")))
    write_labels_file(tmp_path / "labels.yaml", labels)
    assert read_labels_file(tmp_path / "labels.yaml") == labels


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labels: [{name: a}, {name: a}]", "name once, got 'a' twice"),
        ("labels: [{name: a, key: x}, {name: b, key: x}]", "key once, got 'x' twice"),
        ("labels: [{name: a, colour: red}]", "colour"),
        ("labels: [{name: ''}]", "name"),
        ("label: []", "label"),
    ],
)
def test_what_is_no_label_set_is_refused_with_its_place(tmp_path, text, told):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as refused:
        read_labels_file(path)
    assert str(path) in str(refused.value)


def test_a_file_is_read_again_when_it_changes(tmp_path):
    own, shared = tmp_path / "labels.yaml", tmp_path / "shared.yaml"
    write_labels_file(shared, LabelSet(labels=(Label(name="horse"),)))
    file = LabelFile(own, shared)
    assert [label.name for label in file.labels.labels] == ["horse"]
    file.write(LabelSet(labels=(Label(name="dog"),)))
    assert [label.name for label in file.labels.labels] == ["dog"]
    own.write_text("labels: [{name: 3}]")
    os.utime(own, (1, 1))
    with pytest.raises(ConfigError):
        file.read()
    assert [label.name for label in file.read().labels] == ["dog"], "an error is told once, the labels stay"
    own.unlink()
    assert [label.name for label in file.read().labels] == ["horse"]
