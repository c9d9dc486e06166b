"""Render the moving image of README.md: clicks on a few frames, their masks, then the masks of every frame.

dextr-vos synthesize -o anim --length 48 --size 480x270
CLIP=anim/JPEGImages/480p/turntable
dextr-vos annotate $CLIP --clicks anim/turntable-clicks.json -o anim/work
dextr-vos propagate $CLIP --keyframes anim/work -o anim/run
python scripts/render_animation.py $CLIP anim/turntable-clicks.json anim/run/masks docs/images/workflow.webp
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.export.overlay import overlay
from dextr_vos.images import ImageRgb
from dextr_vos.masks import read_labels

CLICK_MS, MASK_MS, FRAME_MS, LAST_MS = 300, 900, 90, 1500
BAR_PX = 30


def captioned(image_rgb: ImageRgb, text: str) -> Image.Image:
    """The image with a dark bar below it that holds a line of text."""
    height, width = image_rgb.shape[:2]
    canvas = np.full((height + BAR_PX, width, 3), 24, np.uint8)
    canvas[:height] = image_rgb
    place = (12, height + 20)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_DUPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return Image.fromarray(canvas)


def with_clicks(image_rgb: ImageRgb, points: list[list[int]]) -> ImageRgb:
    """The image with a dot on each point, x and y in pixels."""
    canvas = image_rgb.copy()
    for x, y in points:
        cv2.circle(canvas, (x, y), 6, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), 4, (235, 60, 60), -1, cv2.LINE_AA)
    return canvas


def main(frames: str, clicks: str, masks: str, target: str) -> None:
    """Write the animation as WebP."""
    clip = open_clip(frames)
    plain = list(clip)
    tinted = [
        overlay(image, read_labels(Path(masks) / f"{name}.png"))
        for image, name in zip(plain, clip.names, strict=True)
    ]
    images, durations = [], []
    for name, (points,) in json.loads(Path(clicks).read_text()).items():
        index = clip.index_of(name)
        text = f"Frame {index}: click the four extreme points"
        for count in range(len(points) + 1):
            images.append(captioned(with_clicks(plain[index], points[:count]), text))
            durations.append(CLICK_MS)
        images.append(captioned(with_clicks(tinted[index], points), f"Frame {index}: the mask of the clicks"))
        durations.append(MASK_MS)
    images += [captioned(image, "Propagated to every frame") for image in tinted]
    durations += [FRAME_MS] * (len(tinted) - 1) + [LAST_MS]
    images[0].save(
        target, save_all=True, append_images=images[1:], duration=durations, loop=0, quality=90, method=6
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
