"""`anno_cfg.yml`: what it may leave out, and one sentence for whatever is wrong with it."""

import pytest

from dextr_vos.errors import ConfigError
from dextr_vos.web.image_folder.files import read_folder_settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("required: {source: nowhere, destination: d}\n", "there is no folder nowhere"),
        ("required: {source: .}\n", "required.destination: this setting is missing"),
        ("required: {source: ., destination: d}\noptional: {save_format: jpg}\n", "save_format: expected"),
        ("required: {source: ., destination: d}\noptional: {suffix: x}\n", "mask_suffix"),
        ("required: {source: ., destination: d}\noptional: {mask_suffix: ../x}\n", "part of a file name"),
    ],
)
def test_errors_in_the_settings(tmp_path, text, sentence):
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(ConfigError, match=sentence.replace(".", r"\.")):
        read_folder_settings(tmp_path / "c.yml")


def test_empty_groups_and_relative_folders(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    path = tmp_path / "anno_cfg.yml"
    path.write_text("required: {source: images, destination: masks}\noptional:\nadmin:\n")
    monkeypatch.chdir("/")
    settings = read_folder_settings(path)
    assert settings.required.source == tmp_path / "images"
    assert settings.required.destination == tmp_path / "masks"
    assert settings.optional.mask_suffix == "_mask"
