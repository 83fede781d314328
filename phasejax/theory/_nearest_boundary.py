"""The smallest change of a model that takes it into another regime.

In logarithms of the parameters log rho and log tau are concave, and log nu and log xi linear. The
log-ratios, a minimum less a maximum of these, are therefore concave: the changes after which an
objective recovers form a convex set, with one nearest point; those after which it does not, the
complement of one, which may have several. A grid finds about where, and sequential quadratic
programming with exact gradients finishes each.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.validation import is_traced
from phasejax.theory import _closed_forms
from phasejax.theory._model import SpikedModel
from phasejax.theory._regimes import Regime

_FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
# What moves the two ratios: the signal's values depend on the first three, curved in their
# logarithms; the nuisance's on the last two, along a straight line.
_COORDINATES = ("kappa", "gamma_x", "gamma_y", "nu", "nuisance_y")
_LIMIT = math.log(1e6)  # no parameter changes by more than this factor
_NODES = 33  # of a grid, along each curved coordinate
_STARTS = 12  # local minima of the grid that are finished


@dataclasses.dataclass(frozen=True)
class Crossing:
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


def nearest_boundary(model: SpikedModel, target: Regime | str = "Both", *,
                     parameters: Sequence[str] = _FIELDS, margin: float = 1e-5) -> Crossing:
    r"""The smallest relative change of chosen parameters that takes a model into a regime.

    .. math::  \min_t \lVert t \rVert_2 \quad \text{such that the model with every chosen field } \theta_p
               \text{ scaled to } e^{t_p} \theta_p \text{ lies in the target}

    A field is scaled as a whole, nu up to a largest value of 1, and none by more than a factor of a
    million. Boundaries count as not recovered, so the answer lies `margin` inside the target. For
    the regimes of predicting x from y pass `model.reverse()`. Computed in float64. No regime
    depends on nuisance_x, whose log-change is always 0.

    The search is global first: over the three fields on which the ratios depend nonlinearly by a
    grid, at whose points the others are solved for exactly; then local, with exact gradients. The
    answer is checked on the closed form (`regime`), and for optimality (`Crossing.residual`).

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
    target = _target(target)
    parameters = _parameters(parameters)
    if not 1e-8 <= margin <= 1:
        raise ValueError(f"margin: expected a number from 1e-8 to 1, got {margin}")
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
        moved = {} if change is None else dict(zip(_COORDINATES, change.tolist(), strict=True))
        log_change = {name: moved.get(name, 0.0) if moved else math.nan for name in parameters}
        after = _deltas(changed)
    return Crossing(target=target, reachable=change is not None, model=changed, log_change=log_change,
                    delta_ca=(before[0], after[0]), delta_cp=(before[1], after[1]), residual=residual)


def _target(target):
    try:
        return Regime(target)
    except ValueError:
        names = ", ".join(repr(regime.value) for regime in Regime)
        raise ValueError(f"target: expected a Regime or one of {names}, got {target!r}") from None


def _parameters(parameters):
    names = (parameters,) if isinstance(parameters, str) else tuple(parameters)
    for name in names:
        if name not in _FIELDS:
            raise ValueError(f"parameters: expected names among {', '.join(_FIELDS)}, got {name!r}")
    if not names:
        raise ValueError("parameters: expected at least one, got none")
    return tuple(dict.fromkeys(map(str, names)))


def _search(model, target, parameters, margin):
    # Second try: without noise rho is 1, and only nu = 1, the boundary itself, leaves CA behind.
    for not_recovered in (margin, 0.0):
        problem = _Problem(model, target, parameters, margin, not_recovered)
        change = _nearest(problem)
        if change is not None:
            return change, _residual(problem, change)
    return None, math.nan


def _deltas(model):
    return float(_closed_forms.delta_ca(model)), float(_closed_forms.delta_cp(model))


def _scaled(model, change):
    fields = {name: getattr(model, name) * math.exp(t) for name, t in zip(_COORDINATES, change, strict=True) if t}
    if "nu" in fields:
        fields["nu"] = np.minimum(fields["nu"], 1)  # exp(log(1 / nu)) nu may round to above 1
    return model.replace(**fields)


@jax.jit
def _log_signals(signals, changes):
    """Logarithms of rho and tau, shape (m, 2, k), after m changes (m, 3) of the curved coordinates."""
    def at(change):
        scale = jnp.exp(change)
        scaled = signals.replace(kappa=signals.kappa * scale[0], gamma_x=signals.gamma_x * scale[1],
                                 gamma_y=signals.gamma_y * scale[2])
        return jnp.log(jnp.stack([_closed_forms.rho(scaled), _closed_forms.tau(scaled)]))

    return jax.vmap(at)(changes)


_log_signals_slopes = jax.jit(jax.jacfwd(lambda signals, change: _log_signals(signals, change[None])[0], argnums=1))


class _Problem:
    """The constraints on a change t of `_COORDINATES`: log Delta_CA and log Delta_CP on the target's sides.

    In terms of the signals i, log Delta_CA = min_i log rho_i - log max nu - t_nu, and
    log Delta_CP = min_i log tau_i - log max xi - t_nu - t_nuisance_y / 2.
    """

    def __init__(self, model, target, parameters, margin, not_recovered):
        self.model, self.target = model, target
        # Scaling does nothing to a field of zeros.
        self.free = np.array([name in parameters and bool(np.any(getattr(model, name))) for name in _COORDINATES])
        self.signs = [1 if target in (Regime.BOTH, only) else -1 for only in (Regime.CA_ONLY, Regime.CP_ONLY)]
        self.margins = [margin if sign > 0 else not_recovered for sign in self.signs]
        # Equal signals are one; without nuisance the two values stay, and d does not matter.
        kappa, gamma_x, gamma_y = np.unique(np.stack([model.kappa, model.gamma_x, model.gamma_y]), axis=1)
        empty = np.zeros(0)
        self.signals = SpikedModel(kappa, empty, gamma_x, gamma_y, empty, empty)
        with np.errstate(divide="ignore"):
            self.floors = np.log([np.max(model.nu, initial=0), np.max(np.asarray(_closed_forms.xi(model)), initial=0)])
        self.top = np.full(len(_COORDINATES), _LIMIT)
        self.top[3] = min(_LIMIT, -self.floors[0])  # nu <= 1

    @property
    def hopeless(self):
        """Whether a ratio on the wrong side is 0 or infinite, which no scale changes, or nothing is free."""
        always = [np.isinf(floor) and sign < 0 for floor, sign in zip(self.floors, self.signs, strict=True)]
        return not np.all(self.signals.kappa > 0) or any(always) or not self.free.any()

    def full(self, t):
        """A change of all coordinates from one of those that are free."""
        change = np.zeros(len(_COORDINATES))
        change[self.free] = t
        return change

    def on_grid(self, centre, nodes):
        """The best changes with curved coordinates on a grid, and by how much each misses the target (0: it does not).

        Given the curved coordinates what remains is a convex problem in t_nu, with t_nuisance_y
        following from it: the free minimum, clipped to what is allowed, is exact.
        """
        axes = [c + nodes if free else np.zeros(1) for c, free in zip(centre, self.free[:3], strict=True)]
        curved = np.stack(np.meshgrid(*(np.clip(axis, -_LIMIT, _LIMIT) for axis in axes), indexing="ij"), -1)
        weakest = np.asarray(_log_signals(self.signals, curved.reshape(-1, 3))).min(-1)
        ca, cp = (weakest - self.floors - np.multiply(self.signs, self.margins)).T
        low, high = np.full(len(ca), -_LIMIT), np.full(len(ca), self.top[3])
        free_nu, free_nuisance = self.free[3:]
        for sign, bound in list(zip(self.signs, (ca, cp), strict=True))[:1 if free_nuisance else 2]:
            low, high = (low, np.minimum(high, bound)) if sign > 0 else (np.maximum(low, bound), high)
        # min t_nu^2 + t_nuisance_y^2 on the line t_nu + t_nuisance_y / 2 = cp, where 0 is on the wrong side of it
        wanted = np.where(free_nuisance & (self.signs[1] * cp < 0), 0.8 * cp, 0)
        nu = np.clip(wanted, low, high) if free_nu else np.zeros(len(ca))
        missed = np.maximum(low - nu, 0) + np.maximum(nu - high, 0)
        nuisance = np.zeros(len(ca))
        if free_nuisance:
            nuisance = np.where(self.signs[1] * (cp - nu) < 0, 2 * (cp - nu), 0)
            missed += np.maximum(np.abs(nuisance) - _LIMIT, 0)
        changes = np.concatenate([curved.reshape(-1, 3), nu[:, None], nuisance[:, None]], 1)
        return changes, np.nan_to_num(missed, nan=np.inf, posinf=np.inf), curved.shape[:3]

    def values(self, change):
        """log Delta by each signal, shape (2, k)."""
        nuisance = self.floors + change[3] + [0, change[4] / 2]
        return np.asarray(_log_signals(self.signals, change[None, :3]))[0] - nuisance[:, None]

    def slopes(self, change):
        """Derivatives of `values` along the coordinates, shape (2, k, 5)."""
        curved = np.asarray(_log_signals_slopes(self.signals, change[:3]))
        nuisance = np.broadcast_to([[[-1.0, 0.0]], [[-1.0, -0.5]]], (*curved.shape[:2], 2))
        return np.concatenate([curved, nuisance], -1)

    def smooth(self, change):
        """Constraints, >= 0, that hold where the target's do and are smooth: what is to be recovered must be by
        every signal; what is not, fails by the signal that is weakest at `change`."""
        weakest = self.values(change).argmin(1)
        picks = [slice(None) if sign > 0 else slice(i, i + 1) for sign, i in zip(self.signs, weakest, strict=True)]
        rows = [row for row in (0, 1) if np.isfinite(self.floors[row])]

        def value(t):
            found = self.values(t)
            return np.concatenate([self.signs[row] * found[row, picks[row]] - self.margins[row] for row in rows])

        def slope(t):
            found = self.slopes(t)
            return np.concatenate([self.signs[row] * found[row, picks[row]] for row in rows])

        return value, slope

    def reached(self, change):
        value, _ = self.smooth(change)
        kept = np.all(value(change) > -1e-9) and np.all(np.abs(change) <= _LIMIT) and change[3] <= self.top[3]
        return kept and _closed_forms.regime(_scaled(self.model, change)) is self.target


def _nearest(problem):
    """The least change that reaches the target, or None."""
    if problem.hopeless:
        return None
    candidates = []
    for start in _starts(problem):
        candidates.append(start)
        for _ in range(3):  # at its end another signal may be the weakest
            polished = _polished(problem, candidates[-1])
            improved = np.linalg.norm(polished) < np.linalg.norm(candidates[-1])
            candidates.append(polished)
            if not improved:
                break
    return min(filter(problem.reached, candidates), key=np.linalg.norm, default=None)


def _starts(problem):
    """Local minima of the distance on a grid."""
    spread = np.sinh(np.linspace(-5, 5, _NODES)) / np.sinh(5)  # dense at its centre
    centre, half = np.zeros(3), _LIMIT
    for _ in range(12):  # towards where least is missing, until a point reaches the target
        changes, missed, shape = problem.on_grid(centre, half * spread)
        best = changes[missed.argmin()]
        if missed.min() == 0:
            break
        centre, half = best[:3], half / 4
    if not np.isfinite(missed.min()):
        return []
    starts = [best]
    for _ in range(4):  # nothing outside the ball that the best point spans can be better
        size = np.where(missed > 0, np.inf, np.linalg.norm(changes, axis=1))
        if np.isfinite(size.min()):
            starts = _local_minima(changes, size.reshape(shape))
        radius = np.linalg.norm(starts[0])
        changes, missed, shape = problem.on_grid(np.zeros(3), radius * np.linspace(-1, 1, _NODES))
    return starts


def _local_minima(changes, size):
    padded = np.pad(size, 1, constant_values=np.inf)
    lowest = np.isfinite(size)
    for axis in range(3):
        for shift in (-1, 1):
            lowest &= size <= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1]
    index = np.flatnonzero(lowest)
    return list(changes[index[np.argsort(size.ravel()[index], kind="stable")[:_STARTS]]])


def _polished(problem, start):
    """A local minimum from `start`."""
    from scipy.optimize import minimize

    value, slope = problem.smooth(start)
    free, top = problem.free, problem.top[problem.free]
    found = minimize(lambda t: t @ t / 2, start[free], jac=lambda t: t, method="SLSQP",
                     bounds=[(-_LIMIT, limit) for limit in top], options={"ftol": 1e-16, "maxiter": 200},
                     constraints={"type": "ineq", "fun": lambda t: value(problem.full(t)),
                                  "jac": lambda t: slope(problem.full(t))[:, free]})
    return problem.full(np.clip(found.x, -_LIMIT, top))


def _residual(problem, change):
    """Relative distance of the change from the cone of the active constraints' gradients."""
    from scipy.optimize import nnls

    value, slope = problem.smooth(change)
    identity = np.eye(len(change))
    normals = np.concatenate([slope(change)[np.abs(value(change)) < 1e-7], identity[change < 1e-7 - _LIMIT],
                              -identity[change > problem.top - 1e-7]])[:, problem.free]
    t = change[problem.free]
    return float((nnls(normals.T, t)[1] if len(normals) else np.linalg.norm(t)) / np.linalg.norm(t))
