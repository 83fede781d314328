"""The networks of `python -m benchmarks decision_truth` as the pilot of a diagnosis.

A pilot knows most where it trains what will be trained: the same losses, the same choice of a weight decay by held-out
loss, the same early stopping, and as many rows.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import jax
import numpy as np

from benchmarks.decision_networks import OBJECTIVES, make_task, trained_codes
from benchmarks.decision_probes import TRAINING, VALIDATION
from benchmarks.decision_truth import SIZES
from phasejax._core.devices import cores

OWN_SIZE = "64"  # the cheapest one


def own_networks(x: np.ndarray, y: np.ndarray, fold: np.ndarray, k: int, steps: int = 1200, checks: int = 40
                 ) -> dict[str, Any]:
    """Outputs of networks that are trained as those of the truth, on as many rows, without those of each fold.

    Args:
        x, y: views.
        fold: of each row, -1 for rows that no fold holds out.
        k: bottleneck.
        steps, checks: as in `decision_truth.train_all`.

    Returns:
        What `fair_scores` takes as trained: both alignments as candidates for CA.
    """
    from phasejax.deep._pilot import PilotEncoder

    def trained(f):
        rest = np.random.default_rng(f).permutation(np.flatnonzero(fold != f))
        ends = np.ceil(np.cumsum([TRAINING, VALIDATION]) * len(x)).astype(int)
        ends = np.minimum(ends, [int(TRAINING / (TRAINING + VALIDATION) * len(rest)), len(rest)])
        task = make_task(x, y, rest[:ends[0]], rest[ends[0]:ends[1]])
        codes, *_ = cast(Any, trained_codes(jax.tree.map(lambda part: part[None], task), SIZES[OWN_SIZE], steps=steps,
                                            checks=checks, seeds=np.array([f], np.uint32), ks=(k,),
                                            objectives=OBJECTIVES[:4]))
        return jax.tree.map(lambda part: np.asarray(part)[0, 0, :len(x), :k], codes)

    # Each fold is a call of one program; on a CPU several at once.
    with ThreadPoolExecutor(cores() if jax.default_backend() == "cpu" else 1) as pool:
        by_fold = list(pool.map(trained, range(int(fold.max()) + 1)))

    def encoder(name):
        views = {view: np.stack([codes[name][view] for codes in by_fold]) for view in by_fold[0][name]}
        lost = ~np.all([np.isfinite(part).all((1, 2)) for part in views.values()], axis=0)
        return PilotEncoder(x=views.get("x"), y=views.get("y"), diverged=lost)

    return {"CA": [encoder("deepcca"), encoder("vicreg")], "CP x->y": encoder("cp"), "CP y->x": encoder("cp_reverse")}
