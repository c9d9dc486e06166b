"""The networks made thin, for tests in which it matters that they are trained, not how well."""

from typing import Any

from dextr_vos.networks import dextr, lite_tracker, mask_decoder, osvos, prompt_decoder, tiny_vit

Changes = list[tuple[Any, str, object]]  # module, name and value

# every module keeps the widths that it imported
NARROW_LITE: Changes = [
    *((module, "EMBEDDING", 32) for module in (tiny_vit, prompt_decoder, mask_decoder, lite_tracker)),
    *((module, "EIGHTH_CHANNELS", 16) for module in (tiny_vit, prompt_decoder, lite_tracker)),
    *((module, "QUARTER_CHANNELS", 8) for module in (tiny_vit, prompt_decoder)),
    (tiny_vit, "_CHANNELS", (8, 16, 16, 16)),
    (tiny_vit, "_HEADS", (1, 2, 2, 2)),
    (tiny_vit, "_WINDOWS", (7, 7, 7, 7)),
    (tiny_vit, "_DEPTHS", (1, 1, 1, 1)),
    (tiny_vit, "_EXPANSION", 1),
    (prompt_decoder, "_MLP_CHANNELS", 32),
]
NARROW_DEXTR: Changes = [(dextr, "_LAYER_WIDTHS", (4, 8, 8, 16)), (dextr, "_PSP_WIDTH", 16)]
NARROW_OSVOS: Changes = [(osvos, "_STAGE_WIDTHS", ((4, 4), (8, 8), (8, 8, 8), (8, 8, 8), (8, 8, 8)))]
