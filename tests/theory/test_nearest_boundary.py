"""The nearest regime: closed-form answers, brute force over all changes, first-order conditions, limits."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

from phasejax import Regime, SpikedModel, regime
from phasejax.theory import _nearest_boundary, nearest_boundary, sensitivity

FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
TARGETS = [target.value for target in Regime]
HOMOGENEOUS = SpikedModel.homogeneous(1.0, 0.8, gamma_x=1.0, gamma_y=0.5, nuisance_y=3.0, k=2, d=5)
FIG_3 = SpikedModel.create([3.0, 2.0, 1.5], nu=0.6, gamma_x=0.5, gamma_y=0.05, nuisance_y=50.0, d=20)
# The weakest signal depends on the scale: much noise on the strong one, little on the weak one.
KINKED = SpikedModel.create([3.0, 0.5, 1.0], nu=[0.3, 0.7], gamma_x=[12.0, 0.05, 0.5], gamma_y=[0.5, 0.2, 1.0],
                            nuisance_y=[4.0, 0.3, 1.0], d=5, d_y=6)
EASY = SpikedModel.create([2.0, 1.5], nu=[0.2, 0.1, 0.0], gamma_x=[1.0, 0.1], gamma_y=[0.0, 0.3], d=5)
MODELS = {"homogeneous": HOMOGENEOUS, "figure 3": FIG_3, "kinked": KINKED, "easy": EASY}


def log_ratios(model, change):
    """log Delta_CA and log Delta_CP after many changes {field: (m,)}, in NumPy from the definition."""
    scaled = {name: getattr(model, name)[:, None] * np.exp(np.atleast_1d(change.get(name, 0.0))) for name in FIELDS}
    signal = scaled["kappa"] ** 2
    rho = signal / np.sqrt((signal + scaled["gamma_x"]) * (signal + scaled["gamma_y"]))
    tau = signal / np.sqrt(signal + scaled["gamma_x"])
    xi = scaled["nu"] * np.sqrt(scaled["nuisance_y"][:len(model.nu)])
    allowed = scaled["nu"].max(0) <= 1
    return np.log(rho.min(0) / scaled["nu"].max(0)), np.log(tau.min(0) / xi.max(0)), allowed


def inside(model, change, target, margin):
    ca, cp, allowed = log_ratios(model, change)
    wanted = [1 if target in ("Both", only) else -1 for only in ("CA only", "CP only")]
    return (wanted[0] * ca >= margin) & (wanted[1] * cp >= margin) & allowed


def test_a_model_in_the_target_does_not_move():
    crossing = nearest_boundary(FIG_3, "CA only")
    assert crossing.reachable
    assert crossing.distance == 0
    assert set(crossing.log_change.values()) == {0.0}
    assert crossing.delta_ca[0] == crossing.delta_ca[1]
    assert "no change needed" in crossing.summary()


def test_alignment_needs_nu_below_rho():
    rho = 1 / math.sqrt(2 * 1.5)
    model = HOMOGENEOUS.replace(nuisance_y=0.1)  # CP recovers by far
    crossing = nearest_boundary(model, Regime.BOTH, parameters=["nu"], margin=1e-7)
    assert crossing.log_change["nu"] == pytest.approx(math.log(rho / 0.8) - 1e-7, abs=1e-12)
    assert crossing.delta_ca[1] == pytest.approx(1 + 1e-7, abs=1e-11)
    assert crossing.distance == pytest.approx(abs(crossing.log_change["nu"]), rel=1e-15)


def test_prediction_needs_nuisance_y_below_the_square_of_its_ratio():
    """Delta_CP falls as the root of nuisance_y, so log nuisance_y must fall by twice log Delta_CP."""
    crossing = nearest_boundary(FIG_3, "Both", parameters=["nuisance_y"])
    tau = 1.5**2 / math.sqrt(1.5**2 + 0.5)
    expected = 2 * (math.log(tau / (0.6 * math.sqrt(50.0))) - 1e-5)
    assert crossing.log_change == {"nuisance_y": pytest.approx(expected, abs=1e-10)}


@pytest.mark.parametrize(("model", "target"), [(FIG_3, "Both"), (KINKED, "Both"), (KINKED.replace(kappa=9.0),
                                                                                   "Neither"), (EASY, "Neither")])
def test_kappa_alone_against_a_root_finder(model, target):
    """Both ratios grow with kappa: the later one decides on Both, and so it does on Neither."""
    def binding(t):
        (ca,), (cp,), _ = log_ratios(model, {"kappa": t})
        return min(ca, cp) - 1e-5 if target == "Both" else max(ca, cp) + 1e-5

    crossing = nearest_boundary(model, target, parameters="kappa")
    assert crossing.log_change["kappa"] == pytest.approx(brentq(binding, -10, 10, xtol=1e-13), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_parameters_against_a_fine_grid(name):
    """No point of a fine grid reaches the target with a smaller change, and some come close to the answer."""
    model, found = MODELS[name], 0
    for pair in itertools.combinations(("kappa", "nu", "gamma_x", "gamma_y", "nuisance_y"), 2):
        for target in TARGETS:
            crossing = nearest_boundary(model, target, parameters=pair)
            radius = crossing.distance if crossing.reachable else 6.0
            if radius == 0:
                continue
            axis = 1.05 * radius * np.linspace(-1, 1, 501)
            change = dict(zip(pair, (grid.ravel() for grid in np.meshgrid(axis, axis)), strict=True))
            size = np.hypot(*change.values())
            size = np.where(inside(model, change, target, 1e-5), size, np.inf)
            if not crossing.reachable:
                assert np.isinf(size.min()), (pair, target)
            else:
                found += 1
                assert radius * (1 - 1e-9) <= size.min() <= radius * 1.05, (pair, target)
    assert found >= 10


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", TARGETS)
def test_all_parameters_against_random_changes(name, target):
    """No random change of all parameters that is 1 % smaller reaches the target, and the answer itself does."""
    model = MODELS[name]
    crossing = nearest_boundary(model, target)
    assert crossing.reachable
    if crossing.distance == 0:
        assert inside(model, {}, target, 0)
        return
    assert inside(model, crossing.log_change, target, 0.999e-5)
    rng = np.random.default_rng(0)
    centre = np.array([crossing.log_change[field] for field in FIELDS])
    # In the whole ball and around the answer, where it is hardest.
    directions = np.concatenate([rng.standard_normal((100_000, 6)), centre + 0.3 * crossing.distance
                                 * rng.standard_normal((100_000, 6))])
    radii = 0.99 * crossing.distance * rng.uniform(0.5, 1, len(directions)) ** (1 / 6)
    changes = directions * (radii / np.linalg.norm(directions, axis=1))[:, None]
    assert not inside(model, dict(zip(FIELDS, changes.T, strict=True)), target, 0).any()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_regime_holds_in_either_precision_and_conditions_of_first_order_hold(name, target):
    crossing = nearest_boundary(MODELS[name], target)
    assert crossing.residual < 1e-6
    for double in (False, True):
        with jax.enable_x64(double):
            assert regime(crossing.model) is Regime(target)
    for field in FIELDS:
        expected = getattr(MODELS[name], field) * math.exp(crossing.log_change[field])
        np.testing.assert_allclose(getattr(crossing.model, field), expected, rtol=1e-14)


def assert_parallel(crossing, ratio, sign):
    """With one ratio at its boundary and no tie the change is a multiple of that ratio's elasticities."""
    with jax.enable_x64(True):
        row = sensitivity(crossing.model).fields[ratio]
    change = np.array([crossing.log_change[field] for field in FIELDS])
    normal = sign * np.array([float(row[field]) for field in FIELDS])
    assert change @ normal == pytest.approx(np.linalg.norm(change) * np.linalg.norm(normal), rel=1e-9)


def test_the_change_is_parallel_to_the_gradient():
    assert_parallel(nearest_boundary(FIG_3, "Both"), "cp", 1)
    assert_parallel(nearest_boundary(FIG_3, "Neither"), "ca", -1)
    assert_parallel(nearest_boundary(HOMOGENEOUS.replace(nuisance_y=1.2), "CP only"), "cp", 1)
    # A change that reaches the target, but is not the smallest:
    crossing = nearest_boundary(FIG_3, "Both", parameters=["kappa", "nu"])
    crossing = dataclasses.replace(crossing, log_change=dict.fromkeys(FIELDS, 0.0) | crossing.log_change)
    with pytest.raises(AssertionError):
        assert_parallel(crossing, "cp", 1)


def test_two_active_boundaries_share_the_change():
    """Sent to "CA only" a homogeneous model ends in a corner: the change is a sum of both gradients."""
    crossing = nearest_boundary(SpikedModel.homogeneous(1.0, 0.8, k=2, d=5), "CA only")
    assert crossing.delta_ca[1] == pytest.approx(1 + 1e-5, abs=1e-9)
    assert crossing.delta_cp[1] == pytest.approx(1 - 1e-5, abs=1e-9)
    with jax.enable_x64(True):
        rows = sensitivity(crossing.model).fields
    normals = np.array([[float(rows[ratio][field]) for field in FIELDS] for ratio in ("ca", "cp")]) * [[1], [-1]]
    weights, gap, *_ = np.linalg.lstsq(normals.T, [crossing.log_change[field] for field in FIELDS], rcond=None)
    assert np.all(weights > 0)
    assert float(gap[0]) < 1e-12


def test_nu_stops_at_one():
    """rho = 0.95 > nu = 0.5, and Delta_CP can be lost through nuisance_y: nu may rise to 0.95, not beyond 1."""
    model = SpikedModel.homogeneous(math.sqrt(19.0), 0.5, nuisance_y=16.0, k=2, d=4)
    crossing = nearest_boundary(model, "CP only", parameters=["nu"])
    assert crossing.model.nu == pytest.approx([0.95 * math.exp(1e-5)] * 2, rel=1e-9)
    noiseless = SpikedModel.homogeneous(2.0, 0.5, gamma_x=0.0, gamma_y=0.0, k=2, d=4)  # rho = 1
    crossing = nearest_boundary(noiseless, "CP only", parameters=["nu", "kappa"])
    assert crossing.reachable
    assert crossing.log_change == {"nu": pytest.approx(math.log(2)), "kappa": pytest.approx(0, abs=1e-9)}
    np.testing.assert_allclose(crossing.model.nu, 1, rtol=1e-15)
    assert regime(crossing.model) is Regime.CP_ONLY
    assert not nearest_boundary(noiseless, "CP only", parameters=["nuisance_y", "kappa"]).reachable


@pytest.mark.parametrize(("model", "target", "parameters"), [
    (FIG_3, "Both", ["gamma_x"]),  # tau <= kappa = 1.5, xi = 4.2
    (FIG_3, "Both", ["gamma_y", "nuisance_x"]),
    (EASY, "CP only", ["nuisance_y"]),
    (SpikedModel.homogeneous(0.0, 0.5, k=2, d=5), "Both", FIELDS),
    (SpikedModel.homogeneous(1.0, 0.0, k=2, d=5), "Neither", FIELDS),
    (SpikedModel.homogeneous(1.0, 0.5, k=3, d=3), "CA only", FIELDS),
    (SpikedModel.homogeneous(1.0, 0.9, nuisance_y=0.0, k=2, d=4), "CA only", FIELDS),
    (SpikedModel.homogeneous(1.0, 0.9, gamma_x=0.0, k=2, d=4), "Both", ["gamma_x"]),
])
def test_out_of_reach_is_an_answer(model, target, parameters):
    crossing = nearest_boundary(model, target, parameters=parameters)
    assert not crossing.reachable
    assert crossing.distance == math.inf
    assert all(math.isnan(value) for value in crossing.log_change.values())
    assert crossing.delta_ca[0] == crossing.delta_ca[1]
    assert crossing.summary().startswith(f"{target} is out of reach: no change of {parameters[0]}")


@pytest.mark.parametrize("polish", [True, False])
def test_a_narrow_target_is_not_missed(polish, monkeypatch):
    """Of all kappa a window of 1 part in 10,000 lies above CA's boundary and below CP's. Evolution alone finds it."""
    if not polish:
        monkeypatch.setattr(_nearest_boundary, "_polished", lambda problem, start: start)
    model = SpikedModel.homogeneous(1.0, 0.5, gamma_x=1.0, gamma_y=1.0, nuisance_y=2.0002, k=1, d=3)
    # kappa = 1: rho = 1/2 = nu and tau = .70711 = xi / 1.00005: CA is recovered just before CP.
    crossing = nearest_boundary(model.replace(kappa=0.05), "CA only", parameters=["kappa"], margin=1e-6)
    assert crossing.reachable
    assert 1 < float(crossing.model.kappa[0]) < 1.0001


@pytest.mark.parametrize("target", TARGETS)
def test_nuisance_alone_is_solved_exactly(target):
    """Given the signal the nearest nu and nuisance_y have a closed form: within the limits on t_nu, the foot of the
    perpendicular on the line t_nu + t_nuisance_y / 2 = log Delta_CP, where CP is on the wrong side of it."""
    model = HOMOGENEOUS.replace(nuisance_y=1.2) if target != "Neither" else EASY
    ca_sign, cp_sign = ({"Both": 1, "CA only": 1}.get(target, -1), {"Both": 1, "CP only": 1}.get(target, -1))
    (ca,), (cp,), _ = log_ratios(model, {})
    ca, cp = ca - ca_sign * 1e-5, cp - cp_sign * 1e-5
    low, high = (-np.inf, ca) if ca_sign > 0 else (ca, np.inf)
    nu = np.clip(0.8 * cp if cp_sign * cp < 0 else 0, low, min(high, -math.log(np.max(model.nu))))
    nuisance = 2 * (cp - nu) if cp_sign * (cp - nu) < 0 else 0
    crossing = nearest_boundary(model, target, parameters=["nu", "nuisance_y"])
    assert crossing.reachable
    assert crossing.log_change == pytest.approx({"nu": nu, "nuisance_y": nuisance}, abs=1e-9)


def test_permutations_and_copies_change_nothing():
    order = [2, 0, 1, 1, 0]
    copies = SpikedModel.create(KINKED.kappa[order], nu=np.r_[KINKED.nu, 0.1], gamma_x=KINKED.gamma_x[order],
                                gamma_y=KINKED.gamma_y[order], nuisance_y=np.r_[KINKED.nuisance_y, 1.0], d=8, d_y=9)
    for target in TARGETS:
        a, b = nearest_boundary(KINKED, target), nearest_boundary(copies, target)
        assert a.distance == pytest.approx(b.distance, rel=1e-9)


def test_the_answer_is_one_line():
    text = nearest_boundary(FIG_3, "Both", parameters=["nu"]).summary()
    assert text == "Both: nu x 0.3198 (Delta_CA 1.49 -> 4.66, Delta_CP 0.32 -> 1)"


@pytest.mark.parametrize(("change", "message"), [
    ({"target": "both"}, "target: expected a Regime or one of 'Neither', 'CA only', 'CP only', 'Both', got 'both'"),
    ({"parameters": ["nu", "eta"]}, "parameters: expected one of kappa, nu, .* got 'eta'"),
    ({"parameters": []}, "parameters: expected at least one, got none"),
    ({"margin": 0.0}, "margin: expected a number of at least 1e-08 and of at most 1, got 0.0"),
    ({"margin": math.nan}, "margin: expected a number of at least 1e-08 and of at most 1, got nan"),
])
def test_bad_requests_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        nearest_boundary(FIG_3, **change)
    assert "\n" not in str(caught.value)


def test_traced_models_are_refused():
    with pytest.raises(ValueError, match="model: expected one concrete model"):
        jax.jit(lambda nu: nearest_boundary(FIG_3.replace(nu=nu)).distance)(0.5)
