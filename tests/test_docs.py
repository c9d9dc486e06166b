"""The documents point only to what exists, and the example of README runs."""

import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import pytest

import dextr_vos as dv
from dextr_vos import errors
from dextr_vos.datasets.synthetic import write_clip
from dextr_vos.propagation import models

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "SECURITY", "data/README", "configs/README")),
    *sorted(DOCS.rglob("*.md")),
]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_site_has_every_document() -> None:
    pages = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    # see scripts/docs_hooks.py
    named = ("index", "changelog", "security", "weights-notice", "data", "configs")
    outside = {f"{name}.md" for name in named}
    documents = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(pages) == documents | outside
    assert len(pages) == len(set(pages))


def described(page: str) -> list[object]:
    """The modules, classes and functions that a page of the site describes."""
    names = re.findall(r"^::: (\S+)$", (DOCS / page).read_text(), re.MULTILINE)
    return [pkgutil.resolve_name(name) for name in names]


@pytest.mark.parametrize("page", ["api.md", "modules.md"])
def test_api_pages_describe_what_is_there(page: str) -> None:
    assert described(page)


def test_the_api_page_describes_every_public_name() -> None:
    names = {getattr(entry, "__name__", "") for entry in described("api.md")} | set(vars(errors))
    assert set(dv.__all__) <= names


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_example_of_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a shorter clip than that of scripts/demo.sh, with fewer steps on smaller crops."""
    write_clip(tmp_path / "demo-out" / "davis", "turntable", 6, (360, 640))
    lite = replace(models.LITE, recipe=replace(models.LITE.recipe, max_steps=2, longest_side=240))
    monkeypatch.setattr(models, "MODELS_BY_NAME", {**models.MODELS_BY_NAME, "lite": lite})
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert len(list((tmp_path / "masks").glob("*.png"))) == 6
    (j,) = re.findall(r"\bJ (\d\.\d+)", capsys.readouterr().out)
    assert float(j) > 0.7
