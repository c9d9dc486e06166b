"""How objects are followed; docs/benchmarks.md tells what most of these values bring."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from dextr_vos.propagation.window import Zoom


@dataclass(frozen=True)
class Following:
    """How objects are followed.

    Attributes:
        longest_side: at which masks are carried from frame to frame; larger frames are made smaller.
        memories: keyframes that are remembered in a span, the nearest ones.
        recent: frames of the pass itself that are remembered, the last ones; 0 for none.
        every: one frame in so many is remembered.
        both_ways: a pass from each of the two keyframes beside a span, not from the one before alone.
        trust: how much more of a frame comes from the surer of two passes: each has the weight of its
            distance in time, times the overlap that its masks expect of themselves to this power; 0 is time
            alone.
        zoom: how the network's windows are cut out.
        islands: a part of a mask smaller than this share of the object's largest part is dropped, unless the
            keyframes show such parts; 0 drops none. This one holds for every network.
        own_share: for a network that sees frames alone: the shipped lite network follows the objects, and
            this share of each soft mask is the network's own; None leaves it alone. A lite network has no use
            for it.
    """

    longest_side: Annotated[int, Field(ge=32)] = 854
    memories: Annotated[int, Field(ge=1)] = 4
    recent: Annotated[int, Field(ge=0)] = 3
    every: Annotated[int, Field(ge=1)] = 2
    both_ways: bool = True
    trust: Annotated[float, Field(ge=0)] = 8.0
    zoom: Zoom = field(default_factory=Zoom)
    islands: Annotated[float, Field(ge=0, le=1)] = 0.2
    own_share: Annotated[float, Field(ge=0, le=1)] | None = None
