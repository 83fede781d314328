"""Whether theory, solvers and simulation agree on this machine: the checks behind `phasejax check`.

Each check compares two independent routes to the same number and yields a verdict: closed forms and
solvers, theory and samples, two ways of sampling, exact derivatives and finite differences. They find
a broken installation, a miscompiled program or a formula that was changed by mistake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Key

from phasejax import linear, theory
from phasejax._core.checked_call import checked
from phasejax._core.validation import check_key, check_seed
from phasejax.linear import covariances_from_samples
from phasejax.simulation._population import population_covariances, signal_covariances
from phasejax.simulation._quantities import QUANTITIES, Quantity
from phasejax.simulation._sampling import bartlett_factor, colour, sample_covariances, sample_pairs
from phasejax.simulation._sweep import sweep
from phasejax.theory import SpikedModel

# Cells whose log Delta is nearer to 0 than this are left out of the verdicts on samples: so close to a
# boundary a sample of this size may rightly fall on the other side.
_MARGIN = 0.3
_N, _SEEDS = 20_000, 12
# No cell lies on a boundary, where two directions tie and neither theory nor solver prefers one.
_AXES = {"decay": [1.0, 0.7], "nu": [0.12, 0.4, 0.7, 0.95], "kappa_bar": [0.5, 1.0, 2.0, 3.0]}
_FIXED = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_y": 5.0, "k": 3, "d": 10, "d_y": 12}


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Args:
        name: what was compared.
        passed: whether it agreed.
        detail: the measured disagreement and what was allowed.
    """

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.passed else 'FAILED'}  {self.name:56} {self.detail}"


@checked
def run_checks(seed: int = 0) -> Iterator[Verdict]:
    """Compare closed forms with solvers, samples and finite differences on a small grid of models.

    Args:
        seed: of all random draws; any seed should pass.

    Returns:
        An iterator that runs the next check each time it is asked for a verdict.

    >>> print(next(run_checks()).name)
    spectrum of C: closed form and solver
    """
    key = check_key("seed", check_seed("seed", seed))
    with jax.enable_x64(True):
        yield from _closed_forms()
    names = ("delta_ca", "delta_cp", "r_ca", "r_cp", "recovered_ca", "recovered_cp", "total_mse_ca", "total_mse_cp")
    closed = {f"theory_{name}": Quantity(getattr(theory, name), name, source="theory") for name in names[-2:]}
    grid = sweep(SpikedModel.geometric, _AXES, fixed=_FIXED, n=_N, seeds=_SEEDS, key=key,
                 quantities={name: QUANTITIES[name] for name in names} | closed)
    yield from _recovery(grid)
    with jax.enable_x64(True):
        yield _sampling_routes(key)
        yield _sampled_spectrum(key)
        yield from _gradients(key)


def _models() -> list[SpikedModel]:
    """The models at all points of the grid."""
    points = [dict(zip(_AXES, values, strict=True)) for values in
              zip(*(np.ravel(a) for a in np.meshgrid(*_AXES.values())), strict=True)]
    return [SpikedModel.geometric(**point, **_FIXED) for point in points]


def _closed_forms() -> Iterator[Verdict]:
    """Closed forms of the theory equal what the solvers find on the population covariances."""
    def mse_ca(model):
        return linear.prediction_mse(linear.solve_ca_probe(population_covariances(model), model.k).predictor,
                                     population_covariances(model))

    def signal_mse_cp(model):
        return linear.prediction_mse(linear.solve_cp(population_covariances(model), model.k).predictor,
                                     signal_covariances(model))

    pairs: dict[str, tuple[Callable, Callable]] = {
        "spectrum of C: closed form and solver":
            (theory.spectrum_ca, lambda model: linear.canonical_correlations(population_covariances(model))),
        "spectrum of A: closed form and solver":
            (theory.spectrum_cp, lambda model: linear.regression_singular_values(population_covariances(model))),
        "total MSE of CA + probe: closed form and solver": (theory.total_mse_ca, mse_ca),
        "signal MSE of CP: closed form and solver": (theory.signal_mse_cp, signal_mse_cp)}
    for name, (closed, solved) in pairs.items():
        both = jax.jit(lambda model, closed=closed, solved=solved: (closed(model), solved(model)))
        worst = max(_relative_difference(*both(model)) for model in _models())
        yield _verdict_on_bound(name, worst, 1e-9, "relative difference")


def _recovery(grid: xr.Dataset) -> Iterator[Verdict]:
    """Away from the boundaries, samples recover what theory says, and err as much as theory says."""
    for objective in ("ca", "cp"):
        clear = abs(np.log(grid[f"delta_{objective}"])) > _MARGIN
        sampled = (grid[f"recovered_{objective}"].mean("seed") > _FIXED["k"] - 0.5).where(clear, drop=True)
        expected = (grid[f"delta_{objective}"] > 1).where(clear, drop=True)
        wrong = int(((sampled != expected) & sampled.notnull()).sum())
        yield Verdict(f"regime by {objective.upper()}: theory and {_SEEDS} samples of {_N}", wrong == 0,
                      f"{wrong} of {int(clear.sum())} cells differ, allowed 0")
        counts = grid[f"recovered_{objective}"].mean("seed")
        # A direction close to the threshold may be recovered in only some samples.
        off = float(abs(counts - grid[f"r_{objective}"]).where(clear).max())
        yield Verdict(f"counts by {objective.upper()}: theory and {_SEEDS} samples of {_N}", off <= 1,
                      f"largest difference {off:.2f} signals, allowed 1")
        # What a sample loses against the population is of order k (d_x + d_y) / n, 0.3% here.
        recovering = clear & (grid[f"delta_{objective}"] > 1)
        excess = grid[f"total_mse_{objective}"].mean("seed") / grid[f"theory_total_mse_{objective}"] - 1
        worst = float(abs(excess.where(recovering)).max())
        yield _verdict_on_bound(f"total MSE of {objective.upper()}: theory and {_SEEDS} samples of {_N}", worst, 0.01,
                                "relative difference")


def _sampling_routes(key: Key[Array, ""]) -> Verdict:
    """Covariances from the Bartlett factor and covariances of drawn rows have the same distribution."""
    model, n, draws = SpikedModel.geometric(kappa_bar=1.0, nu=0.4, decay=0.7, **_FIXED), 60, 400
    keys = jax.random.split(jax.random.fold_in(key, 1), 2 * draws)

    def statistic(covariances):
        return jnp.stack([covariances.xx[0, 0], covariances.xy[0, 0], covariances.xy[4, 4], covariances.yy[5, 5],
                          covariances.xy[0, 4] ** 2, covariances.xx[1, 2] ** 2])

    def from_rows(k):
        sample = sample_pairs(k, model, n)
        return statistic(covariances_from_samples(sample.x, sample.y))

    direct = jax.jit(jax.vmap(lambda k: statistic(sample_covariances(k, model, n))))(keys[:draws])
    rows = jax.jit(jax.vmap(from_rows))(keys[draws:])
    error = jnp.sqrt((direct.var(0) + rows.var(0)) / draws)
    worst = float(jnp.max(jnp.abs(direct.mean(0) - rows.mean(0)) / error))
    return _verdict_on_bound("sample covariances: Bartlett and drawn rows", worst, 4.5, "standard errors")


def _sampled_spectrum(key: Key[Array, ""]) -> Verdict:
    """Signal canonical correlations of samples converge to rho; what is left is of order d / n."""
    model = SpikedModel.geometric(kappa_bar=2.0, nu=0.1, decay=0.7, **_FIXED)
    keys = jax.random.split(jax.random.fold_in(key, 2), _SEEDS)
    sampled = jax.jit(lambda ks: jax.lax.map(
        lambda k: linear.canonical_correlations(sample_covariances(k, model, _N))[:model.k], ks))(keys)
    error = sampled.std(0, ddof=1) / np.sqrt(_SEEDS) + (model.d_x + model.d_y) / _N
    worst = float(jnp.max(jnp.abs(sampled.mean(0) - theory.rho(model)) / error))
    return _verdict_on_bound(f"canonical correlations: theory and samples of {_N}", worst, 4.5,
                             "standard errors (plus d / n)")


def _gradients(key: Key[Array, ""]) -> Iterator[Verdict]:
    """Exact derivatives of a sampled and of a population statistic equal finite differences."""
    white = bartlett_factor(jax.random.fold_in(key, 3), 200, 22)
    fixed = {name: value for name, value in _FIXED.items() if name not in ("k", "d", "d_y")}
    parameters = jnp.array([2.0, 0.4, *(fixed[name] for name in fixed)])

    def build(p):
        return SpikedModel.homogeneous(p[0], p[1], k=3, d=10, d_y=12, **dict(zip(fixed, p[2:], strict=True)))

    def sampled(p):
        alignment = linear.solve_ca(colour(white, build(p)), 3)
        return linear.mean_squared_sine(linear.signal_directions(3, 10), alignment.encoder_x)

    def population(p):  # the spectrum is exactly degenerate: three equal signals, seven equal nuisances
        tilt = jnp.sin(jnp.arange(100.0)).reshape(10, 10) / 50 * p[0]
        covariances = population_covariances(build(p), jnp.eye(10) + tilt)
        return linear.mean_squared_sine(linear.signal_directions(3, 10), linear.solve_cp(covariances, 3).encoder)

    for name, function in {"sampled CA error": sampled, "population CP error": population}.items():
        function = jax.jit(function)
        gradient = jax.grad(function)(parameters)
        step = 1e-5
        numeric = jnp.stack([(function(parameters + step * e) - function(parameters - step * e)) / (2 * step)
                             for e in jnp.eye(len(parameters))])
        worst = float(jnp.max(jnp.abs(gradient - numeric)) / jnp.max(jnp.abs(numeric)))
        yield _verdict_on_bound(f"gradient of the {name}: exact and differences", worst, 1e-6, "relative difference")


def _relative_difference(a: Array, b: Array) -> float:
    return float(jnp.max(jnp.abs(a - b) / jnp.maximum(jnp.abs(b), 1e-3)))


def _verdict_on_bound(name: str, value: float, allowed: float, unit: str) -> Verdict:
    """Pass if a measured disagreement is at most what is allowed; NaN fails, as it is below nothing."""
    return Verdict(name, bool(value <= allowed), f"{value:.2g} {unit}, allowed {allowed:g}")
