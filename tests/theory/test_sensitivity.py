"""Elasticities of the separation ratios: closed forms, differences, homogeneity, ties and zeros."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasejax import SpikedModel, delta_ca, delta_cp
from phasejax.theory import delta_cp_reverse, sensitivity, xi

FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
RATIOS = {"ca": delta_ca, "cp": delta_cp, "cp_reverse": delta_cp_reverse}
# The second signal is the weakest for all three ratios; nuisance 0 is the most correlated, 2 the largest in y, 1 in x.
MODEL = SpikedModel.create([3.0, 1.2], nu=[0.6, 0.5, 0.4], gamma_x=[0.4, 0.7], gamma_y=[0.1, 0.25],
                           nuisance_x=[1.0, 4.0, 1.0], nuisance_y=[1.0, 1.0, 9.0, 0.5], d=5, d_y=6)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def fields(model):
    return jax.tree.map(float, sensitivity(model).fields)


def scaled(model, name, factor, index=slice(None)):
    values = np.array(getattr(model, name))
    values[index] *= factor
    return model.replace(**{name: values})


def slope(delta, model, name, index=slice(None), step=1e-6):
    up, down = (math.log(delta(scaled(model, name, math.exp(s), index))) for s in (step, -step))
    return (up - down) / (2 * step)


def one_sided(delta, model, name, step, index=slice(None)):
    moved = math.log(delta(scaled(model, name, math.exp(step), index)))
    return (moved - math.log(delta(model))) / step


def assert_elasticities(found, model):
    for ratio, delta in RATIOS.items():
        for name in FIELDS:
            numeric = [slope(delta, model, name, i) for i in range(len(getattr(model, name)))]
            np.testing.assert_allclose(getattr(found, ratio)[name], numeric, atol=1e-9, err_msg=f"{ratio} {name}")


def test_every_coordinate_against_differences():
    assert_elasticities(sensitivity(MODEL), MODEL)
    assert_elasticities(sensitivity(MODEL.reverse()), MODEL.reverse())


@pytest.mark.parametrize("mutant", [
    lambda found: dataclasses.replace(found, ca=found.cp),
    lambda found: jax.tree.map(lambda leaf: -leaf, found),
    lambda found: dataclasses.replace(found, **{ratio: {name: values / np.asarray(getattr(MODEL, name))
                                                        for name, values in getattr(found, ratio).items()}
                                                for ratio in RATIOS}),  # d log Delta / d parameter
])
def test_differences_reject_a_mutant(mutant):
    with pytest.raises(AssertionError):
        assert_elasticities(mutant(sensitivity(MODEL)), MODEL)


def test_closed_forms():
    """Weakest signal: kappa^2 = 1.44, gamma = (.7, .25). Strongest nuisance: 0 for CA, 2 for CP, 1 reversed."""
    x, y = 0.7 / (1.44 + 0.7), 0.25 / (1.44 + 0.25)
    found = sensitivity(MODEL)
    expected = {"ca": {"kappa": [0, x + y], "nu": [-1, 0, 0], "gamma_x": [0, -x / 2], "gamma_y": [0, -y / 2]},
                "cp": {"kappa": [0, 1 + x], "nu": [0, 0, -1], "gamma_x": [0, -x / 2], "nuisance_y": [0, 0, -0.5, 0]},
                "cp_reverse": {"kappa": [0, 1 + y], "nu": [0, -1, 0], "gamma_y": [0, -y / 2],
                               "nuisance_x": [0, -0.5, 0]}}
    for ratio, row in expected.items():
        for name in FIELDS:
            values = row.get(name, np.zeros(len(getattr(MODEL, name))))
            np.testing.assert_allclose(getattr(found, ratio)[name], values, atol=1e-14)
            assert float(found.fields[ratio][name]) == pytest.approx(np.sum(values), abs=1e-14)


positive = st.floats(0.05, 5.0)


@settings(max_examples=30)
@given(kappa=st.lists(positive, min_size=2, max_size=2), nu=st.lists(st.floats(0.01, 1), min_size=2, max_size=2),
       gamma=st.lists(positive, min_size=4, max_size=4), nuisance=st.lists(positive, min_size=4, max_size=4))
def test_homogeneity(kappa, nu, gamma, nuisance):
    """Euler's identities. No unit of the data matters: kappa^2 and all variances times c change no ratio, and CA not
    even with the signal's alone (CP: as the root of c). Every ratio falls as 1 / nu; CA ignores nuisance variances."""
    model = SpikedModel.create(kappa, nu=nu, gamma_x=gamma[:2], gamma_y=gamma[2:], nuisance_x=nuisance[:2],
                               nuisance_y=nuisance[2:], d=4)
    for ratio, row in fields(model).items():
        signal = row["kappa"] / 2 + row["gamma_x"] + row["gamma_y"]
        assert signal + row["nuisance_x"] + row["nuisance_y"] == pytest.approx(0, abs=1e-12)
        assert signal == pytest.approx(0 if ratio == "ca" else 0.5, abs=1e-12)
        assert row["nu"] == pytest.approx(-1, abs=1e-12)
        assert row["nuisance_x"] == pytest.approx(-0.5 if ratio == "cp_reverse" else 0, abs=1e-12)


def test_the_view_swap_exchanges_directions():
    found, swapped = sensitivity(MODEL), sensitivity(MODEL.reverse())
    for a, b in [("ca", "ca"), ("cp", "cp_reverse"), ("cp_reverse", "cp")]:
        for name, other in [("kappa", "kappa"), ("nu", "nu"), ("gamma_x", "gamma_y"), ("nuisance_y", "nuisance_x")]:
            np.testing.assert_allclose(getattr(found, a)[name], getattr(swapped, b)[other], atol=1e-14)


def test_ties_share_the_slope_evenly_and_add_up():
    """All signals and nuisances tie. One alone has a slope of 0 on one side and of the whole field on the other."""
    model = SpikedModel.homogeneous(1.5, 0.4, gamma_x=0.5, gamma_y=0.2, nuisance_x=0.8, nuisance_y=1.7, k=3, d=7, d_y=8)
    found = sensitivity(model)
    for ratio, delta in RATIOS.items():
        for name in FIELDS:
            whole = slope(delta, model, name)
            assert float(found.fields[ratio][name]) == pytest.approx(whole, abs=1e-9)
            paired = min(len(getattr(model, name)), 4) if name not in ("kappa", "gamma_x", "gamma_y") else 3
            np.testing.assert_allclose(getattr(found, ratio)[name][:paired], whole / paired, atol=1e-9)
            sides = sorted(one_sided(delta, model, name, step, 0) for step in (1e-6, -1e-6))
            np.testing.assert_allclose(sides, sorted([0, whole]), atol=1e-5)


def test_a_tie_of_unlike_signals_lies_between_its_two_slopes():
    """rho = 1/2 twice: kappa = 1 in unit noise, and kappa^2 = 3 in noise (9, 0), for which kappa counts less."""
    model = SpikedModel.create([1.0, math.sqrt(3.0)], nu=0.3, gamma_x=[1.0, 9.0], gamma_y=[1.0, 0.0], d=4)
    up, down = (one_sided(delta_ca, model, "kappa", step) for step in (1e-6, -1e-6))
    assert (up, down) == (pytest.approx(0.75, abs=1e-5), pytest.approx(1.0, abs=1e-5))
    found = fields(model)["ca"]["kappa"]
    assert up - 1e-5 <= found <= down + 1e-5


def test_ratios_without_a_logarithm_have_no_elasticity():
    for kappa, nu in [(1.0, 0.0), (0.0, 0.5), (0.0, 0.0)]:
        model = SpikedModel.homogeneous(kappa, nu, k=2, d=5)
        assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(sensitivity(model)))
    model = SpikedModel.create([1.0], nu=[0.5, 0.0], nuisance_y=[0.0, 1.0], d=3)  # xi = 0, though nu is not
    found = fields(model)
    assert all(math.isnan(value) for value in found["cp"].values())
    assert found["ca"]["nu"] == -1
    assert "CP: no parameter moves the ratio" in sensitivity(model).summary()


def test_parameters_that_are_zero_have_elasticity_zero():
    model = SpikedModel.create([1.5, 1.0], nu=[0.5, 0.0], gamma_x=0.0, gamma_y=[0.0, 1.0], nuisance_x=[0.0, 1.0],
                               nuisance_y=[2.0, 0.0], d=4)
    found = sensitivity(model)
    for ratio in ("ca", "cp"):
        for name in FIELDS:
            values = np.asarray(getattr(found, ratio)[name])
            assert np.isfinite(values).all(), (ratio, name)
            assert np.all(values[np.asarray(getattr(model, name)) == 0] == 0)
    assert float(found.ca["gamma_y"][1]) == pytest.approx(-0.25)


def test_the_slope_at_a_nuisance_without_variance_is_finite():
    """The root has an infinite slope there; for a nuisance that is not the strongest it must not become NaN."""
    model = SpikedModel.create([1.5], nu=[0.5, 0.4], nuisance_y=[2.0, 0.0], d=3)
    assert jax.grad(delta_cp)(model).nuisance_y[1] == 0
    assert float(xi(model)[1]) == 0
    assert float(xi(model)[0]) == 0.5 * math.sqrt(2.0)


def test_jit_and_vmap():
    jitted = jax.jit(sensitivity)(MODEL)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), jitted, sensitivity(MODEL))
    batch = jax.jit(jax.vmap(lambda kappa: sensitivity(MODEL.replace(kappa=kappa))))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(batch.ca["kappa"][1], sensitivity(MODEL.replace(kappa=2.0)).ca["kappa"], atol=1e-14)


def test_single_precision_works_as_everywhere():
    with jax.enable_x64(False):
        found = sensitivity(MODEL)
        assert found.ca["kappa"].dtype == jnp.float32
        assert float(found.fields["cp"]["nuisance_y"]) == pytest.approx(-0.5, rel=1e-6)


def test_the_summary_names_the_parameter():
    lines = sensitivity(MODEL).summary().splitlines()
    assert lines[0].split()[-6:] == list(FIELDS)
    assert lines[1].split() == ["CA", "0.48", "-1", "-0.16", "-0.074", "0", "0"]
    assert lines[4] == "CA: nu moves the ratio most, by -1 % for 1 % more of it."
    assert lines[5] == "CP: kappa moves the ratio most, by +1.3 % for 1 % more of it."
