"""`confidence.json` of a run: how far the mask of each frame and object can be trusted."""

import json
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.files import write_text

Confidence = dict[str, dict[int, float]]


def write_confidence(path: Path, scores: Confidence) -> None:
    """Write the scores, frame by frame, atomically."""
    lines = [f" {json.dumps(name)}: {json.dumps(of_frame)}" for name, of_frame in scores.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    write_text(path, text)


def read_confidence(path: Path) -> Confidence:
    """Scores in [0, 1] by frame name and object number.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {int(number): float(score) for number, score in of_frame.items()}
            for name, of_frame in content.items()
        }
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}; give the --out folder of a finished train-propagation"
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise InputError(f"{path} is damaged; run train-propagation again to make it anew") from None
