"""CITE-seq experiments drawn at random for `benchmarks.instruments`."""

from typing import Any

import numpy as np

from phasejax.instruments import CITE_PRESETS, CiteSeq

PANELS = 3
_FACTOR = 2.0  # parameters of a preset are multiplied by up to so much, or divided
# Cells of a type differ as much as types do: no bottleneck tells nearly all of them apart, as it would with the spread
# of the presets, where every objective scores .99.
_PROGRAM_SPREAD = 0.8


def draw_cite(rng: np.random.Generator, number: int) -> tuple[CiteSeq, str, int]:
    """An experiment around a preset, its label and a bottleneck: presets, panels and 2 or 3 outputs in turn.

    Around the preset "both" all objectives do well, and parameters drawn from wide ranges, independently of each other,
    gave 21 experiments out of 24 of that kind: it is left out.
    """
    presets = [CITE_PRESETS[name] for name in ("ca_only", "cp_only", "neither")]
    preset = presets[number % len(presets)].replace(program_spread=_PROGRAM_SPREAD)
    fields: dict[str, Any] = {"genes": 30, "proteins": 15, "panel": number // len(presets) % PANELS}
    for name, known in CiteSeq.parameters().items():
        value = float(getattr(preset, name)) * _FACTOR ** rng.uniform(-1, 1)
        fields[name] = min(max(value, known["least"]), known["most"])
    return CiteSeq(**fields), "cell_type", (2, 3)[number % 2]
