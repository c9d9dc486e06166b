"""Small videos of many kinds, whose frames carry their numbers."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 6


def numbered_frame(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """H×W×3 uint8: the number as black and white squares, lowest bit on the left, over a moving pattern."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    ground = (90 + 40 * np.sin((x + 3 * number) / 5) + 30 * np.cos((y - 2 * number) / 4)).astype(np.uint8)
    frame = np.repeat(ground[..., None], 3, axis=2)
    frame[:16] = 0
    for bit in range(BITS):
        frame[2:14, 2 + 10 * bit : 10 + 10 * bit] = 255 * (number >> bit & 1)
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that a frame carries."""
    return sum(1 << bit for bit in range(BITS) if frame[5:11, 4 + 10 * bit : 8 + 10 * bit].mean() > 128)


def write_video(
    path: Path,
    codec: str = "libx264",
    count: int = 36,
    size_hw: tuple[int, int] = (48, 64),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    **container_options: Any,
) -> Path:
    """Encode frames 0, 1, … of `numbered_frame`, 25 a second or at the given times."""
    with av.open(str(path), "w", **container_options) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size_hw, pix_fmt
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, size_hw), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, path: Path, keep: Callable[[int], bool], **container_options: Any) -> Path:
    """Copy the packets whose numbers `keep` says, as recorders and lossless cutters do."""
    with av.open(str(source)) as read, av.open(str(path), "w", **container_options) as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        first = next(packet.dts for number, packet in enumerate(packets) if keep(number))
        for number, packet in enumerate(packets):
            if keep(number):
                packet.pts -= first
                packet.dts -= first
                packet.stream = stream
                write.mux(packet)
    return path
