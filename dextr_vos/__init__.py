"""Video object segmentation from a few clicks: DEXTR masks of keyframes, propagated to every frame.

```python
import dextr_vos as dv

clip = dv.open_clip("frames/dog")
segmenter = dv.load_segmenter()
mask = segmenter.segment(clip[0], [[151, 30], [511, 221], [186, 11], [429, 304]])
for frame in dv.propagate(clip, {0: mask}):
    dv.write_labels(f"masks/{clip.names[frame.index]}.png", frame.labels)
```

Names are imported when they are first used: `import dextr_vos` itself is quick and needs no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dextr_vos.annotation.segmenter import Segmenter, load_segmenter
    from dextr_vos.clip import Clip, open_clip
    from dextr_vos.errors import ConfigError, DextrVosError, InputError, Interrupted, WeightsError
    from dextr_vos.evaluation.scores import ClipScores, ObjectScores, evaluate
    from dextr_vos.masks import read_labels, write_labels
    from dextr_vos.pipeline import PropagationOptions, propagate, train_propagation
    from dextr_vos.propagation.clip_segmenter import PropagatedFrame

_HOMES = {
    "Clip": "clip",
    "ClipScores": "evaluation.scores",
    "ConfigError": "errors",
    "DextrVosError": "errors",
    "InputError": "errors",
    "Interrupted": "errors",
    "ObjectScores": "evaluation.scores",
    "PropagatedFrame": "propagation.clip_segmenter",
    "PropagationOptions": "pipeline",
    "Segmenter": "annotation.segmenter",
    "WeightsError": "errors",
    "evaluate": "evaluation.scores",
    "load_segmenter": "annotation.segmenter",
    "open_clip": "clip",
    "propagate": "pipeline",
    "read_labels": "masks",
    "train_propagation": "pipeline",
    "write_labels": "masks",
}

__all__ = [
    "Clip",
    "ClipScores",
    "ConfigError",
    "DextrVosError",
    "InputError",
    "Interrupted",
    "ObjectScores",
    "PropagatedFrame",
    "PropagationOptions",
    "Segmenter",
    "WeightsError",
    "evaluate",
    "load_segmenter",
    "open_clip",
    "propagate",
    "read_labels",
    "train_propagation",
    "write_labels",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dextr_vos' has no attribute '{name}'")
    return getattr(import_module(f"dextr_vos.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__doc__", "__file__", "__name__", "__path__", "__version__"])
