"""The smallest change of a model that takes it into another regime.

In logarithms of the parameters log rho and log tau are concave, and log nu and log xi linear. The
log-ratios, a minimum less a maximum of these, are therefore concave: the changes after which an
objective recovers form a convex set, with one nearest point; those after which it does not form
the complement of one, which may have several. SciPy's differential evolution finds the best of
these regions, and its sequential quadratic programming (SLSQP) with exact gradients the nearest
point of it.

Neither is enough alone. On 101 random models and targets evolution's log-changes were off by 1e-4 in
the median and 3e-2 at most. SLSQP started from no change found the same answers as both together there,
but it misses a target that is narrow and far (a window of 1 part in 10,000, in the tests), and nothing
keeps it from ending in a region that is not the nearest.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import differential_evolution, minimize, nnls

from phasejax._core.checked_call import checked
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax._core.validation import check_among, check_number, is_traced
from phasejax.theory import _closed_forms
from phasejax.theory._model import SpikedModel
from phasejax.theory._regimes import Regime

_FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
# The fields that move the two ratios: rho and tau depend on the first three, the nuisance's values on the last two.
_COORDINATES = ("kappa", "gamma_x", "gamma_y", "nu", "nuisance_y")
_LIMIT = math.log(1e6)  # no parameter changes by more than this factor
_POPULATION, _GENERATIONS = 60, 150  # of differential evolution


@dataclasses.dataclass(frozen=True)
class Crossing(Record):
    """The smallest relative change of a model's parameters that leads into a regime.

    Args:
        target: the regime.
        reachable: whether any admissible change leads there.
        model: the changed model; the model as it was where the target is out of reach.
        log_change: for each parameter that was free, log of the factor that scales the field.
        delta_ca: Delta_CA before and after.
        delta_cp: Delta_CP before and after.
        residual: how far the change is from a weighted sum of the active log-ratios' gradients with weights >= 0,
            relative to its size: 0 at an optimum (Karush, Kuhn and Tucker).
    """

    target: Regime
    reachable: bool
    model: SpikedModel
    log_change: dict[str, float]
    delta_ca: tuple[float, float]
    delta_cp: tuple[float, float]
    residual: float

    _kind = "phasejax.crossing"

    def _overview(self) -> Overview:
        return Overview(kind="Nearest boundary", answer=self.summary())

    @property
    def distance(self) -> float:
        """Euclidean length of the log-changes; 0 for a model in the target already, infinite out of reach."""
        return math.hypot(*self.log_change.values()) if self.reachable else math.inf

    def summary(self) -> str:
        """The change in one line."""
        if not self.reachable:
            return (f"{self.target.value} is out of reach: no change of {', '.join(self.log_change)} by factors of up "
                    f"to {math.exp(_LIMIT):g} leads there.")
        factors = [f"{name} x {math.exp(value):.4g}" for name, value in self.log_change.items() if value]
        ratios = [f"Delta_{label} {before:.3g} -> {after:.3g}" for label, (before, after) in
                  {"CA": self.delta_ca, "CP": self.delta_cp}.items()]
        return f"{self.target.value}: {', '.join(factors) or 'no change needed'} ({', '.join(ratios)})"


@checked
def nearest_boundary(model: SpikedModel, target: Regime | str = "Both", *,
                     parameters: Sequence[str] = _FIELDS, margin: float = 1e-5) -> Crossing:
    r"""The smallest relative change of chosen parameters that takes a model into a regime.

    .. math::  \min_t \lVert t \rVert_2 \quad \text{such that the model with every chosen field } \theta_p
               \text{ scaled to } e^{t_p} \theta_p \text{ lies in the target}

    A field is scaled as a whole, nu up to a largest value of 1, and none by more than a factor of a
    million. Boundaries count as not recovered, so the answer lies `margin` inside the target. For
    the regimes of predicting x from y pass `model.reverse()`. Computed in float64. No regime
    depends on nuisance_x, whose log-change is always 0.

    The search is global first, by differential evolution with a fixed seed, and then local, with
    exact gradients. The answer is checked on the closed form (`phasejax.theory.regime`), and for
    optimality (`Crossing.residual`).

    Args:
        model: one concrete spiked model.
        target: a `Regime`, or its value: "Both", "CA only", "CP only", "Neither".
        parameters: names of the fields that may change; all when left out.
        margin: log-distance |log Delta| >= margin to keep from each boundary that is crossed or
            approached, from 1e-8 to 1. The default tells the sides apart in float32, too.

    Returns:
        The changed model and its change. A target that the chosen parameters cannot reach is an
        answer, not an error: `reachable` is False and `distance` infinite. A model in the target
        already needs no change, whatever the margin.

    Raises:
        ValueError: a traced or batched model, an unknown target or parameter, no parameter, a
            margin out of range.

    >>> model = SpikedModel.homogeneous(1.0, 0.8, k=2, d=5)  # rho = 1/2: alignment needs nu < 1/2
    >>> crossing = nearest_boundary(model, "Both", parameters=["nu"])
    >>> f"{crossing.model.nu[0]:.4f}"
    '0.5000'
    >>> print(nearest_boundary(model, "Both").summary())
    Both: kappa x 1.228, nu x 0.7668, gamma_x x 0.95, gamma_y x 0.95 (Delta_CA 0.625 -> 1, Delta_CP 0.884 -> 1.57)
    """
    target = checked_regime(target)
    parameters = _parameters(parameters)
    margin = check_number("margin", margin, least=1e-8, most=1)
    if is_traced(*jax.tree.leaves(model)) or np.ndim(model.kappa) != 1:
        raise ValueError("model: expected one concrete model, got a traced or batched one")
    with jax.enable_x64(True):
        model = SpikedModel(**{name: np.asarray(getattr(model, name), np.float64) for name in _FIELDS})
        before = _deltas(model)
        if _closed_forms.regime(model) is target:
            change, residual = np.zeros(len(_COORDINATES)), 0.0
        else:
            change, residual = _search(model, target, parameters, margin)
        changed = model if change is None else _scaled(model, change)
        moved: dict[str, float] = {} if change is None else dict(zip(_COORDINATES, change.tolist(), strict=True))
        log_change = {name: moved.get(name, 0.0) if moved else math.nan for name in parameters}
        after = _deltas(changed)
    return Crossing(target=target, reachable=change is not None, model=changed, log_change=log_change,
                    delta_ca=(before[0], after[0]), delta_cp=(before[1], after[1]), residual=residual)


def checked_regime(target: Regime | str) -> Regime:
    """The regime that a change is to reach, by itself or by its name."""
    try:
        return Regime(target)
    except ValueError:
        names = ", ".join(repr(regime.value) for regime in Regime)
        raise ValueError(f"target: expected a Regime or one of {names}, got {target!r}") from None


def _parameters(parameters):
    names = (parameters,) if isinstance(parameters, str) else parameters
    check_among("parameters", names, _FIELDS)
    if not names:
        raise ValueError("parameters: expected at least one, got none")
    return tuple(dict.fromkeys(map(str, names)))


def _deltas(model):
    return float(_closed_forms.delta_ca(model)), float(_closed_forms.delta_cp(model))


def _scaled(model, change):
    fields = {name: getattr(model, name) * math.exp(t) for name, t in zip(_COORDINATES, change, strict=True) if t}
    if "nu" in fields:
        fields["nu"] = np.minimum(fields["nu"], 1)  # exp(log(1 / nu)) nu may round to above 1
    return model.replace(**fields)


def _search(model, target, parameters, margin):
    """The least change of `_COORDINATES` and its residual; (None, NaN) where no change reaches the target."""
    # Second try: without noise rho is 1, and only nu = 1, the boundary itself, leaves CA behind.
    for not_recovered in (margin, 0.0):
        problem = _Problem(model, target, parameters, margin, not_recovered)
        candidates = [_start(problem)]
        for _ in range(3):  # where a solution ends, another signal may be the weakest
            change = _polished(problem, candidates[-1])
            candidates += [np.where(np.abs(change) < 1e-6, 0, change), change]  # rounding leaves a little of no change
        change = min(filter(problem.reached, candidates), key=np.linalg.norm, default=None)
        if change is not None:
            return change, _residual(problem, change)
    return None, math.nan


@jax.jit
def _log_ratios(signals, floors, change):
    """log Delta_CA and log Delta_CP by each signal alone, shape (2, k), after a change of `_COORDINATES`."""
    kappa, gamma_x, gamma_y, nu, nuisance_y = change
    scaled = signals.replace(kappa=signals.kappa * jnp.exp(kappa), gamma_x=signals.gamma_x * jnp.exp(gamma_x),
                             gamma_y=signals.gamma_y * jnp.exp(gamma_y))
    nuisance = floors + jnp.stack([nu, nu + nuisance_y / 2])
    return jnp.log(jnp.stack([_closed_forms.rho(scaled), _closed_forms.tau(scaled)])) - nuisance[:, None]


_log_ratio_slopes = jax.jit(jax.jacfwd(_log_ratios, argnums=2))
_log_ratios_of_many = jax.jit(jax.vmap(_log_ratios, in_axes=(None, None, 0)))


class _Problem:
    """What is asked of a change t of `_COORDINATES`: both log-ratios on the target's side of 0, by their margins."""

    def __init__(self, model, target, parameters, margin, not_recovered):
        self.model, self.target = model, target
        # Scaling does nothing to a field of zeros.
        self.free = np.array([name in parameters and bool(np.any(getattr(model, name))) for name in _COORDINATES])
        self.signs = np.array([1 if target in (Regime.BOTH, only) else -1
                               for only in (Regime.CA_ONLY, Regime.CP_ONLY)])
        self.margins = np.where(self.signs > 0, margin, not_recovered)
        # Equal signals count once; of the nuisance only the largest nu and the largest xi count.
        kappa, gamma_x, gamma_y = np.unique(np.stack([model.kappa, model.gamma_x, model.gamma_y]), axis=1)
        signals = SpikedModel(kappa, np.zeros(0), gamma_x, gamma_y, np.zeros(0), np.zeros(0))
        with np.errstate(divide="ignore"):
            strongest = [np.max(values, initial=0) for values in (model.nu, np.asarray(_closed_forms.xi(model)))]
            floors = np.log(np.array(strongest))
        self.ratio_inputs, self.count = (signals, floors), len(kappa)
        largest = np.where(np.array(_COORDINATES) == "nu", np.minimum(_LIMIT, -floors[0]), _LIMIT)  # nu <= 1
        self.box = np.where(self.free, [np.full_like(largest, -_LIMIT), largest], 0)

    def missing(self, changes):
        """By how much each of many changes (m, 5) misses the target; 0 where it does not."""
        weakest = np.asarray(_log_ratios_of_many(*self.ratio_inputs, changes)).min(-1)
        return np.nan_to_num(np.maximum(self.margins - self.signs * weakest, 0).sum(1), posinf=1e9)

    def constraints(self, change):
        """A function of the change that is >= 0 in the target and smooth, and its slopes: what is to be recovered must
        be by every signal; what is not, fails by the signal that is weakest at `change`."""
        weakest = np.asarray(_log_ratios(*self.ratio_inputs, change)).argmin(1)
        needed = np.isfinite(self.ratio_inputs[1])[:, None] & (
            (self.signs > 0)[:, None] | (np.arange(self.count) == weakest[:, None]))
        signs, margins = np.array([self.signs, self.margins])[:, np.nonzero(needed)[0]]
        return (lambda t: signs * np.asarray(_log_ratios(*self.ratio_inputs, t))[needed] - margins,
                lambda t: signs[:, None] * np.asarray(_log_ratio_slopes(*self.ratio_inputs, t))[needed])

    def reached(self, change):
        value, _ = self.constraints(change)
        return np.all(value(change) > -1e-9) and _closed_forms.regime(_scaled(self.model, change)) is self.target


def _start(problem):
    """The best change that differential evolution finds: the smallest in the target, or else the one nearest to it."""
    best, free = np.zeros(len(_COORDINATES)), problem.free

    def energies(points):
        changes = np.zeros((_POPULATION, len(_COORDINATES)))
        changes[:, free] = points.T
        missing = problem.missing(changes)
        return np.where(missing > 0, len(_COORDINATES) * _LIMIT**2 + missing, np.sum(changes**2, axis=1))

    if free.any():
        draws = np.random.default_rng(0)
        unit = draws.uniform(-1, 1, (_POPULATION, free.sum()))
        first = np.clip(_LIMIT * np.sinh(8 * unit) / np.sinh(8), *problem.box[:, free])  # dense near no change
        best[free] = differential_evolution(
            energies, list(problem.box[:, free].T), init=first, vectorized=True, updating="deferred", polish=False,
            maxiter=_GENERATIONS, tol=0, atol=1e-6,
            seed=draws).x  # pyright: ignore[reportCallIssue]  # from SciPy 1.15 on it is also called rng
    return best


def _polished(problem, start):
    """A local minimum from `start`, by sequential quadratic programming."""
    value, slope = problem.constraints(start)
    found = minimize(lambda t: t @ t / 2, start, jac=lambda t: t, method="SLSQP", bounds=problem.box.T,
                     constraints={"type": "ineq", "fun": value, "jac": slope}, options={"ftol": 1e-16, "maxiter": 200})
    return np.clip(found.x, *problem.box)


def _residual(problem, change):
    """Relative distance of the change from the cone of the active constraints' gradients."""
    (value, slope), (lowest, largest), identity = problem.constraints(change), problem.box, np.eye(len(change))
    normals = np.concatenate([slope(change)[np.abs(value(change)) < 1e-7], identity[change < lowest + 1e-7],
                              -identity[change > largest - 1e-7]])[:, problem.free]
    t = change[problem.free]
    return float((nnls(normals.T, t)[1] if len(normals) else np.linalg.norm(t)) / np.linalg.norm(t))
