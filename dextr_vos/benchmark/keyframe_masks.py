"""The keyframes of a cell and their masks, drawn or made of clicks."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dextr_vos.annotation.annotate import annotate
from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.annotation.clicks import check_annotations, read_clicks
from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
from dextr_vos.annotation.simulate import simulate_clicks
from dextr_vos.benchmark.grid import Cell, clicks_file
from dextr_vos.benchmark.settings import ClickSettings
from dextr_vos.clip import Clip
from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError, counted
from dextr_vos.evaluation.scores import first_appearances
from dextr_vos.masks import write_labels
from dextr_vos.workspace import Workspace


def even_frames(frames: int, count: int) -> list[int]:
    """Indices of evenly spaced frames: the first, and the last when there are several.

    Raises:
        InputError: there are fewer frames than asked for.
    """
    if count > frames:
        raise InputError(f"expected at least {count} frames for as many keyframes, got {frames}")
    if count == 1:
        return [0]
    return [(place * (frames - 1) + (count - 1) // 2) // (count - 1) for place in range(count)]


def frames_with_truth(davis: Davis, name: str, clip: Clip) -> list[int]:
    """Indices of the frames of a clip that have a true mask; in YouTube-VOS every fifth has one.

    Raises:
        InputError: a mask has no frame.
    """
    return sorted(clip.index_of(path.stem) for path in davis.annotation_paths(name))


class KeyframeMaker:
    """Makes the masks of a cell's keyframes.

    Only frames with a true mask become keyframes, but for those that people clicked. Where objects may come
    later, the frame in which each first appears is a keyframe, too, as the protocol of YouTube-VOS has it.

    Args:
        cell: what is run.
        clicks: how clicks become masks.
        davis: true masks.
        clip: the frames.
        folder: of the workspace to fill.
        device: for DEXTR.
        bf16: let it compute in bf16 where that is faster.
    """

    def __init__(
        self,
        cell: Cell,
        clicks: ClickSettings,
        davis: Davis,
        clip: Clip,
        folder: Path,
        device: str,
        bf16: bool,
    ) -> None:
        self._cell, self._clicks, self._davis, self._clip = cell, clicks, davis, clip
        self._workspace, self._device, self._bf16 = Workspace(folder), device, bf16
        self.folder = folder

    def first(self) -> list[int]:
        """Indices of the first keyframes; of all where they are not suggested one by one."""
        if self._cell.supervision == "clicks":
            return _clicked_frames(self._read_clicks(), self._clip, self._cell.keyframes)
        known = frames_with_truth(self._davis, self._cell.clip, self._clip)
        even = even_frames(len(known), self._cell.keyframes)
        chosen = [known[0]] if self._cell.choose == "suggest" else [known[place] for place in even]
        return sorted({*chosen, *self._appearances(known)})

    def _appearances(self, known: Sequence[int]) -> list[int]:
        """Indices of the frames in which objects first appear, where they may come later."""
        if not self._davis.objects_come_later:
            return []
        truths = self._davis.annotation_paths(self._cell.clip)
        appeared = first_appearances(self._davis.read_annotation(path) for path in truths)
        return [known[place] for place in appeared.values()]

    def done(self) -> list[int]:
        """Indices of the keyframes whose masks, and clicks, are in the workspace."""
        names = {path.stem for path in self._workspace.keyframe_files()}
        if self._cell.supervision != "gt":
            # the document is written last: without it the run was killed before, and they are made again
            file = self._workspace.annotations
            names &= set(load_annotations(file).keyframes) if file.exists() else set()
        return sorted(self._clip.index_of(name) for name in names)

    def make(self, indices: Sequence[int]) -> None:
        """Make the masks of some frames and add them to the workspace."""
        names = [self._clip.names[index] for index in indices]
        truths = self._davis.annotations / self._cell.clip
        if self._cell.supervision == "gt":
            for name in names:
                truth = self._davis.find_annotation(self._cell.clip, name) or truths / f"{name}.png"
                write_labels(self._workspace.keyframe(name), self._davis.read_annotation(truth))
            return
        if self._cell.supervision == "clicks":
            annotations = self._read_clicks()
            kept = {name: annotations.keyframes[name] for name in names}
            annotations = annotations.model_copy(update={"keyframes": kept})
        else:
            annotations = simulate_clicks(
                self._clip, truths, indices, self._clicks.jitter_px, self._cell.seed
            )
            check_annotations(annotations, self._clip, truths)
        for name in names:  # a run that was killed before it wrote the document may have left some
            self._workspace.keyframe(name).unlink(missing_ok=True)
        annotate(self._clip, annotations, self._segmenter(), self._workspace)

    def _segmenter(self) -> Segmenter:
        if self._cell.supervision == "grabcut":
            return load_segmenter("grabcut")
        return _dextr(self._clicks.model, self._clicks.weights, self._device, self._bf16)

    def _read_clicks(self) -> Annotations:
        assert self._clicks.files is not None
        return read_clicks(clicks_file(self._clicks.files, self._cell.clip), self._clip)


def _clicked_frames(annotations: Annotations, clip: Clip, count: int) -> list[int]:
    """As many of the clicked frames as asked for, each the nearest to an evenly spaced one."""
    clicked = [clip.index_of(name) for name, keyframe in annotations.keyframes.items() if keyframe.objects]
    if len(clicked) < count:
        raise InputError(
            f"the clicks on {clip.path.name} are of {counted(len(clicked), 'frame')}, expected at least "
            f"{count}; click on more, or ask for fewer keyframes"
        )
    chosen: list[int] = []
    for place in even_frames(len(clip), count):
        left = sorted(set(clicked) - set(chosen))
        chosen.append(min(left, key=lambda index: abs(index - place)))
    return sorted(chosen)


@lru_cache(maxsize=1)
def _dextr(model: str | None, weights: Path | None, device: str, bf16: bool) -> Segmenter:
    return load_segmenter(model, weights, device, bf16)
