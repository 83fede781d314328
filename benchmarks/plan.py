"""Pairs that `phasejax.theory.plan` asks for, beside simulation: how many show the right regime in 9 of 10 samples?

Twenty random models with a regime other than Neither, at least 2 % from every boundary, in which 1.2 pairs for each
column are too few. Simulated numbers come from the package's own sampler and solvers (what a sweep knows as
"content_ca" and "content_cp"), by bisection with the same random numbers at every n, which starts from powers of two
times those pairs and not from the prediction. Every other model counts as one on which constants may be chosen; none
were: the formulas were developed on models of another seed. Then, for some models, how often the label content of so
many pairs with so many labels states the regime, of which `labels` promises 9 in 10.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import Row, row
from phasejax import Regime, SpikedModel, delta_ca, delta_cp
from phasejax.diagnosis import label_content
from phasejax.simulation import Cell, bartlett_factor, colour, sample_pairs
from phasejax.theory import Plan, plan
from phasejax.theory._label_content import KEPT

_PROBABILITY = 0.9
# Signals and columns of both views, in turn: few, so that few programs are compiled.
_SHAPES = ((1, 12, 12), (3, 20, 20), (2, 24, 10), (5, 30, 30), (4, 12, 24))


def run(models: int = 20, seeds: int = 400, diagnosed: int = 3, samples: int = 20) -> list[Row]:
    """Predicted and simulated numbers of pairs, and how often regimes are stated with the labels asked for.

    Args:
        models: number of models.
        seeds: samples at each number of pairs.
        diagnosed: models whose labels are tried.
        samples: data sets of each of those.
    """
    rows, ratios = [], []
    for number, (model, simulated, error) in enumerate(_cases(models, seeds)):
        found = plan(model, probability=_PROBABILITY)
        case = (f"{number}: {found.regime.value if found.regime else 'none'}, k {model.k}, d {model.d_x}/{model.d_y}, "
                f"kappa {model.kappa[0]:.2f}, nu {model.nu[0]:.2f}, Delta {float(delta_ca(model)):.2f}/"
                f"{float(delta_cp(model)):.2f}")
        pairs = math.nan if found.pairs is None else found.pairs
        ratios.append(pairs / simulated)
        rows += [row(case, "predicted", pairs, "pairs"), row(case, "simulated", simulated, "pairs"),
                 row(case, "standard error", error, "pairs"), row(case, "ratio", ratios[-1], "1")]
        if number < diagnosed and found.labels is not None and found.pairs_stated is not None:
            stated, wrong = _stated(model, found, samples)
            rows += [row(case, "labels", found.labels, "rows"), row(case, "pairs_stated", found.pairs_stated, "pairs"),
                     row(case, "stated", stated, "share"), row(case, "stated wrongly", wrong, "share")]
        print(", ".join(f"{r['metric']} {r['value']:.4g}" for r in rows if r["case"] == case), "|", case, flush=True)
    for name, some in (("even models", ratios[::2]), ("odd models, reported", ratios[1::2]), ("all models", ratios)):
        some = np.array(some)
        rows += [row(name, "models", len(some), "1"),
                 row(name, "within 25 %", np.mean(np.abs(some - 1) <= 0.25), "share"),
                 row(name, "least ratio", some.min(), "1"), row(name, "median ratio", np.median(some), "1"),
                 row(name, "largest ratio", some.max(), "1")]
    return rows


def _cases(count, seeds):
    """Models with the simulated number of pairs and its standard error."""
    rng, kept = np.random.default_rng(17), 0
    while kept < count:
        k, d_x, d_y = _SHAPES[kept % len(_SHAPES)]
        gamma_x, gamma_y = np.exp(rng.uniform(np.log(0.1), np.log(2), 2))
        model = SpikedModel.homogeneous(
            float(np.exp(rng.uniform(np.log(0.6), np.log(3)))), float(rng.uniform(0.05, 0.9)), k=k, d=d_x, d_y=d_y,
            gamma_x=float(gamma_x), gamma_y=float(gamma_y), nuisance_y=float(np.exp(rng.uniform(-1, 2.5))))
        logs = [abs(math.log(float(delta(model)))) for delta in (delta_ca, delta_cp)]
        if min(logs) < 0.02 or _truth(model) is Regime.NEITHER:
            continue
        found = _simulated(model, seeds, kept)
        if found is not None:
            yield model, *found
            kept += 1


@jax.jit
def _contents(keys, n, model):
    """Label content of CA and CP in samples of n pairs; compiled once for each shape."""
    def content(key):
        factor = bartlett_factor(key, n, model.d_x + model.d_y)
        return jnp.stack(Cell(model, colour(factor, model)).content[:2])

    return jax.lax.map(content, keys)


def _truth(model) -> Regime:
    return Regime.from_ratios(float(delta_ca(model)), float(delta_cp(model)))


def _simulated(model, seeds, key):
    """Number of pairs at which 9 of 10 samples show the regime, and its standard error; None where few pairs do."""
    truth, seen = _truth(model), {}

    def share(n):
        if n not in seen:
            with jax.enable_x64(True):
                kept = np.asarray(_contents(jax.random.split(jax.random.key(key), seeds), jnp.asarray(n), model)) > KEPT
            seen[n] = np.mean(kept @ [1, 2] == truth.code)
        return seen[n]

    low = math.ceil(1.2 * (model.d_x + model.d_y))
    if share(low) >= _PROBABILITY:
        return None
    high = 2 * low
    while share(high) < _PROBABILITY:
        low, high = high, 2 * high
    while high - low > max(1, 0.01 * high):
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle) >= _PROBABILITY else (middle, high)
    # Slope of the probability by log n, from the points nearest to 10 % on either side.
    below, above = share(round(high / 1.1)), share(round(high * 1.1))
    slope = max(above - below, 1e-3) / (2 * math.log(1.1))
    return high, high * math.sqrt(_PROBABILITY * (1 - _PROBABILITY) / seeds) / slope


def _stated(model: SpikedModel, found: Plan, samples: int) -> tuple[float, float]:
    """How often the label content of fresh data states the regime, and how often another one."""
    right = wrong = 0
    for seed in range(samples):
        drawn = sample_pairs(1000 + seed, model, found.pairs_stated or 0)
        x, y, labels = (np.asarray(part, float) for part in (drawn.x, drawn.y, drawn.signal))
        curve = label_content(x, y, labels[:found.labels], np.arange(found.labels or 0), ks=[model.k], seed=seed)
        regime = curve.regime(model.k)
        right, wrong = right + (regime is found.regime), wrong + (regime not in (None, found.regime))
    return right / samples, wrong / samples
