"""Intervals of a plan from a pilot: how often do they hold the pairs and labels that the true model needs?

Pilots of 200 to 600 pairs are sampled from random spiked models off the boundaries, diagnosed by moments with the true
number of signals, and planned for. Nothing was chosen on these models.
"""

import numpy as np

from benchmarks.report import Row, row
from phasejax import Regime, SpikedModel, delta_ca, delta_cp
from phasejax.diagnosis import diagnose, plan_from_pilot
from phasejax.simulation import sample_pairs
from phasejax.theory import plan

_NAMES = ("pairs", "labels")


def run(pilots: int = 40, first: int = 0) -> list[Row]:
    """Shares of intervals that hold the truth, and how wide they are.

    Args:
        pilots: number of them, each from a model of its own.
        first: number of the first, which is its seed.
    """
    held, widths = [], []
    for number in range(first, first + pilots):
        model, n = _model(number)
        truth = plan(model)
        drawn = sample_pairs(number, model, n)
        pilot = diagnose(*(np.asarray(part, float) for part in (drawn.x, drawn.y, drawn.signal)), method="moments",
                         k=model.k, seed=number, predicted_scores=False)
        found = plan_from_pilot(pilot)
        needed = {name: np.inf if getattr(truth, name) is None else getattr(truth, name) for name in _NAMES}
        held.append([found.ranges[name][0] <= needed[name] <= found.ranges[name][1] for name in _NAMES])
        widths.append([found.ranges[name][1] / found.ranges[name][0] for name in _NAMES])
        print(number, n, needed, found.pairs, found.labels, found.ranges, flush=True)
    rows = []
    for name, of, wide in zip(_NAMES, np.transpose(held), np.transpose(widths), strict=True):
        rows += [row(name, f"held, of {pilots} at level 0.9", of.sum(), "pilots"),
                 row(name, "upper over lower end, median", np.median(wide), "1")]
    return rows


def _model(number):
    """A model that shows something other than Neither, and the pairs of its pilot."""
    rng = np.random.default_rng([71, number])
    while True:
        model = SpikedModel.homogeneous(
            float(np.exp(rng.uniform(np.log(0.8), np.log(2.5)))), float(rng.uniform(0.1, 0.8)), k=2, d=10, d_y=8,
            gamma_x=float(np.exp(rng.uniform(np.log(0.2), 0.5))), gamma_y=float(np.exp(rng.uniform(np.log(0.2), 0.5))),
            nuisance_y=float(np.exp(rng.uniform(-1, 2))))
        ratios = float(delta_ca(model)), float(delta_cp(model))
        if min(abs(np.log(ratios))) > 0.1 and Regime.from_ratios(*ratios) is not Regime.NEITHER:
            return model, int(rng.integers(200, 601))
