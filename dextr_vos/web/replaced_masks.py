"""The masks that a run of the page has replaced, kept so that a person can compare before and after."""

import os
import shutil
from pathlib import Path

from dextr_vos.run_files import RunPaths


class ReplacedMasks:
    """Keeps the masks of a finished run while the next one replaces them.

    Masks are hard links where the disk has them: a run writes new files and never changes one in place.

    Args:
        run: whose masks are replaced.
        folder: where they are kept.
    """

    def __init__(self, run: RunPaths, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._next = folder.with_name(f"{folder.name}.next")

    @property
    def stamp(self) -> str | None:
        """Differs when the kept masks do; None where there are none."""
        try:
            return str(self._folder.stat().st_mtime_ns)
        except OSError:
            return None

    def begin(self) -> None:
        """A run begins: remember the present masks."""
        shutil.rmtree(self._next, ignore_errors=True)
        masks = sorted(self._run.masks.glob("[!.]*.png"))
        if not masks:
            return
        self._next.mkdir(parents=True)
        for path in masks:
            try:
                os.link(path, self._next / path.name)
            except OSError:
                shutil.copyfile(path, self._next / path.name)

    def end(self, replaced: bool) -> None:
        """The run has ended.

        Args:
            replaced: it has put its masks in the place of those remembered, which are kept now; else they are
                forgotten, and what an earlier run has replaced stays.
        """
        if replaced:
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._next.exists():
                os.utime(self._next)
                self._next.rename(self._folder)
        shutil.rmtree(self._next, ignore_errors=True)
