"""Hooks of mkdocs: documents outside docs/ become pages, and links between documents lead to pages.

The documents link to each other by their paths in the repository, as GitHub and editors follow them.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "dextr_vos/weights/NOTICE": "weights-notice.md",
    "data/README.md": "data.md",
    "configs/README.md": "configs.md",
}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a document, which are relative to its place in the repository."""
    sources = {page: source for source, page in PAGES.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    start = posixpath.dirname(page.file.src_uri) or "."

    def rewrite(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if (ROOT / target / "README.md").is_file():
            target += "/README.md"
        inside = PAGES.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(inside, start)

    return LINK.sub(rewrite, markdown)
