"""CITE-seq experiments drawn at random for `benchmarks.instruments`."""

from typing import Any

import numpy as np

from phasejax.instruments import CITE_PRESETS, CiteSeq

PANELS = 3
_FACTOR = 2.0  # parameters of a preset are multiplied by up to so much, or divided


def draw_cite(rng: np.random.Generator, number: int) -> tuple[CiteSeq, str, int]:
    """An experiment around a preset, its label and a bottleneck: presets, panels and 1 to 3 outputs in turn.

    Parameters drawn from wide ranges, independently of each other, gave 21 experiments out of 24 in which both
    objectives recover the cell types.
    """
    preset = list(CITE_PRESETS.values())[number % len(CITE_PRESETS)]
    fields: dict[str, Any] = {"genes": 30, "proteins": 15, "panel": number % PANELS}
    for name, known in CiteSeq.parameters().items():
        value = float(getattr(preset, name)) * _FACTOR ** rng.uniform(-1, 1)
        fields[name] = min(max(value, known["least"]), known["most"])
    return CiteSeq(**fields), "cell_type", (1, 2, 3)[number // len(CITE_PRESETS) % 3]
