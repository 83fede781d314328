"""Heads for `benchmarks.instruments`: what training prefers, and the same heads as a pilot.

The truth is trained on all objects, from several seeds; the pilot on the objects outside each fold, from one.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from phasejax.deep import HeadsPilot, train_heads

OBJECTIVES = ("CA VICReg", "CA DeepCCA", "CP x->y", "CP y->x")
NAMES = ("CA", "CP both", "CP x->y", "CP y->x")
SEEDS = 6
_OPTIONS: dict[str, Any] = {"objectives": OBJECTIVES, "widths": (128,), "norm": "batch", "batch": 256, "epochs": 100,
                            "patience": 20, "grid": {"weight_decay": (1e-3, 10.0)}}
PILOT = HeadsPilot(**_OPTIONS)


def measured_scores(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], labels: np.ndarray, kind: str, k: int,
                    split: np.ndarray, seed: int) -> Float[np.ndarray, "4 seeds"]:
    """Scores of `NAMES` on the test rows by seed; of CA that of VICReg or DeepCCA, as validation rows prefer.

    Args:
        x, y: paired views.
        labels: of all rows.
        kind: "class" or "real".
        k: outputs of each encoder.
        split: the part of each row.
        seed: of the first of the trainings.
    """
    heads = train_heads(x, y, {"label": labels}, label_kind=kind, split=split, bottleneck=k, seeds=SEEDS, seed=seed,
                        **_OPTIONS)
    aligned = max((heads.score(name) for name in OBJECTIVES[:2]), key=lambda one: one.validation)
    return np.array([one.by_seed for one in (aligned, *(heads.score(name) for name in NAMES[1:]))])
