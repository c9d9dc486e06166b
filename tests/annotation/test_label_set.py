"""The label set in a `labels.yaml`: read, written, and refused with one sentence."""

import os

import pytest

from dextr_vos.annotation.label_set import Label, LabelFile, LabelSet, read_labels_file, write_labels_file
from dextr_vos.errors import ConfigError, InputError


def test_what_is_written_is_read(tmp_path):
    labels = LabelSet(labels=(Label(name="horse", colour="#e69f00", key="h"), Label(name="rider")))
    write_labels_file(tmp_path / "labels.yaml", labels)
    assert read_labels_file(tmp_path / "labels.yaml") == labels


def test_digits_need_no_quotes_and_the_list_may_be_empty(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("labels: [{name: 12, key: 1}]")
    assert read_labels_file(path).labels == (Label(name="12", key="1"),)
    path.write_text("labels:\n")
    assert read_labels_file(path).labels == ()


def test_a_file_that_cannot_be_used_is_told_and_not_replaced(tmp_path, caplog):
    path = tmp_path / "labels.yaml"
    path.write_text("labels: [{name: dog, key: yes}]")
    file = LabelFile(path)
    assert file.labels.labels == ()
    assert str(path) in caplog.text
    with pytest.raises(ConfigError, match="key"):
        file.write(LabelSet(labels=(Label(name="cat"),)))
    assert "dog" in path.read_text()


def test_comments_above_the_labels_stay_and_links_are_not_replaced(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("# agreed on in May\nlabels: [{name: dog}]\n")
    LabelFile(path).write(LabelSet(labels=(Label(name="cat"),)))
    assert path.read_text() == "# agreed on in May\nlabels:\n- name: cat\n"
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    with pytest.raises(InputError, match="symbolic link"):
        LabelFile(link).write(LabelSet())
    assert "cat" in path.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labels: [{name: a}, {name: a}]", "name once, got 'a' twice"),
        ("labels: [{name: a, key: x}, {name: b, key: x}]", "key once, got 'x' twice"),
        ("labels: [{name: a, key: h}, {name: b, key: H}]", "key once, got 'h' twice"),
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
    own.write_text("labels: [{name: []}]")
    os.utime(own, (1, 1))
    with pytest.raises(ConfigError):
        file.read()
    assert [label.name for label in file.read().labels] == ["dog"], "an error is told once, the labels stay"
    own.unlink()
    assert [label.name for label in file.read().labels] == ["horse"]
