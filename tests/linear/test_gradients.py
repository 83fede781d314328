"""Gradients of every quantity along every parameter against central differences in float64.

Pathwise on one white Wishart matrix, exact on population covariances, at distinct and at
degenerate spectra, views of unequal dimension. One compiled Jacobian holds all quantities.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax.linear import canonical_correlations, prediction_mse, regression_singular_values, solve_joint
from phasejax.simulation import QUANTITIES, Cell, Quantity, colour, population_covariances

FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
# Counts and codes: whole numbers, whose derivative is zero or not defined.
WHOLE = ("r_ca", "r_cp", "r_cp_reverse", "regime", "recovered_ca", "recovered_cp", "recovered_cp_reverse",
         "recovered_joint")
# Finite-sample theory has its own tests in test_random_matrix.
OF_MODELS = {name: quantity for name, quantity in QUANTITIES.items() if quantity.source != "finite-sample theory"}
SMOOTH = {name: quantity for name, quantity in OF_MODELS.items() if name not in WHOLE}
# Values in order of size, their neighbours' ratios, and least over largest. Where two values tie, a change of one
# coordinate has one slope up and another down; a change of a whole field moves tied values together.
ORDERED = ("canonical_correlations", "regression_singular_values", "gap_ca", "gap_cp", "separation_ca",
           "separation_cp", "separation_cp_reverse", "delta_ca", "delta_cp", "delta_cp_reverse", "spectrum_ca",
           "spectrum_cp", "regression_singular_values_reverse", "content_curve_ca", "content_curve_cp",
           "content_curve_cp_reverse")
# What is differentiable in ordered values even where they tie: sums over a group.
SUMS = {"sum of the k largest canonical correlations": Quantity(lambda c: jnp.sum(c.ca.spectrum[:c.model.k]), ""),
        "sum of the k largest values of A": Quantity(lambda c: jnp.sum(c.cp.spectrum[:c.model.k]), ""),
        "sum of the other canonical correlations": Quantity(lambda c: jnp.sum(c.ca.spectrum[c.model.k:]), ""),
        "sum of the other values of A": Quantity(lambda c: jnp.sum(c.cp.spectrum[c.model.k:]), "")}

UNEQUAL = SpikedModel.create([1.9, 1.3], nu=[0.3, 0.2, 0.45], gamma_x=[0.4, 0.7], gamma_y=[0.1, 0.25],
                             nuisance_x=[1.1, 2.0, 0.6], nuisance_y=[1.5, 0.8, 2.5, 0.3], d=5, d_y=6)
HOMOGENEOUS = SpikedModel.homogeneous(1.5, 0.3, gamma_x=0.5, gamma_y=0.2, nuisance_x=0.8, nuisance_y=1.7, k=2, d=5,
                                      d_y=6)
# As many equal nuisances as signals ahead of them: both subspaces are nuisance. One more would leave no gap
# after the k-th value, and no subspace to differentiate.
NUISANCE_AHEAD = HOMOGENEOUS.replace(nu=[0.9, 0.9, 0.1], nuisance_y=30.0)


def program(quantities, white=None):
    """One number per quantity, a fixed random functional of it, as a function of (model, lam)."""
    def values(model, lam):
        covariances = population_covariances(model) if white is None else colour(white, model)
        cell, numbers = Cell(model, covariances, lam), []
        for index, quantity in enumerate(quantities.values()):
            value = jnp.atleast_1d(quantity.compute(model if quantity.source == "theory" else cell))
            numbers.append(jnp.sum(value * np.random.default_rng(index).uniform(0.5, 1.5, value.shape)))
        return jnp.stack(numbers)

    return {"values": jax.jit(values), "reverse": jax.jit(jax.jacrev(values, argnums=(0, 1))),
            "forward": jax.jit(jax.jacfwd(values, argnums=(0, 1)))}


WHITE = np.random.default_rng(0).standard_normal((60, 11))
WHITE = np.linalg.cholesky(WHITE.T @ WHITE / 60)
PROGRAMS = {"population": program(SMOOTH | SUMS), "sample": program(SMOOTH | SUMS, WHITE)}
NAMES = (*SMOOTH, *SUMS)


def directions(model, whole_fields):
    """(label, tangent): one for lam and each coordinate, or each field in proportion to itself."""
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape), model)
    yield "lam", (zero, 1.0)
    for field in FIELDS:
        value = np.array(getattr(model, field))
        for i, row in enumerate([value] if whole_fields else np.eye(len(value))):
            tangent = object.__new__(SpikedModel)  # a direction, not a model: its numbers may be anything
            for other in FIELDS:
                object.__setattr__(tangent, other, row if other == field else getattr(zero, other))
            yield field if whole_fields else f"{field}[{i}]", (tangent, 0.0)


def along(jacobian, tangent):
    pairs = zip(jax.tree.leaves(jacobian), jax.tree.leaves(tangent), strict=True)
    return sum(np.asarray(a).reshape(len(a), -1) @ np.ravel(b) for a, b in pairs)


def moved(programs, model, lam, tangent, step):
    return np.asarray(programs["values"](*jax.tree.map(lambda v, d: v + step * d, (model, lam), tangent)))


def assert_gradients(programs, model, names, kept, *, whole_fields, modes=("reverse",), lam=0.7, step=1e-5):
    """Modes of differentiation against central differences, for the quantities that are `kept`."""
    rows = np.array([kept(name) for name in names])
    with jax.enable_x64(True):
        jacobians = [programs[mode](model, lam) for mode in modes]
        for label, tangent in directions(model, whole_fields):
            up, down = (moved(programs, model, lam, tangent, s) for s in (step, -step))
            numeric = ((up - down) / (2 * step))[rows]
            for jacobian in jacobians:
                exact = along(jacobian, tangent)[rows]
                wrong = ~(np.abs(exact - numeric) <= 1e-6 * np.abs(numeric) + 2e-8)  # NaN is wrong, too
                assert not wrong.any(), (label, np.array(names)[rows][wrong][:3], exact[wrong][:3], numeric[wrong][:3])


def test_every_quantity_is_either_differentiated_or_a_whole_number():
    def compute(model):
        cell = Cell(model, population_covariances(model), 0.7)
        return {name: q.compute(model if q.source == "theory" else cell) for name, q in OF_MODELS.items()}

    for name, value in jax.eval_shape(compute, UNEQUAL).items():
        assert jnp.issubdtype(value.dtype, jnp.floating) == (name not in WHOLE), name


@pytest.mark.parametrize(("source", "model", "modes"), [  # each line compiles anew
    ("population", UNEQUAL, ("reverse",)),
    pytest.param("sample", UNEQUAL, ("reverse", "forward"), marks=pytest.mark.slow),
    pytest.param("sample", UNEQUAL.reverse(), ("reverse",), marks=pytest.mark.slow),
], ids=["population", "sample", "sample, wider x"])
def test_every_coordinate_where_all_values_differ(source, model, modes):
    assert_gradients(PROGRAMS[source], model, NAMES, lambda name: True, whole_fields=False, modes=modes)


@pytest.mark.slow
@pytest.mark.parametrize("model", [HOMOGENEOUS, NUISANCE_AHEAD], ids=["signal ahead", "nuisance ahead"])
def test_every_coordinate_of_a_homogeneous_model(model):
    """Its population spectrum is degenerate; a sample's is not. Closed-form ratios and spectra tie in both."""
    sampled = [name for name in ORDERED if QUANTITIES[name].source != "theory"]
    assert_gradients(PROGRAMS["sample"], model, NAMES, lambda name: name not in ORDERED or name in sampled,
                     whole_fields=False)
    assert_gradients(PROGRAMS["population"], model, NAMES, lambda name: name not in ORDERED, whole_fields=False)


@pytest.mark.slow
@pytest.mark.parametrize("source", PROGRAMS)
@pytest.mark.parametrize("model", [HOMOGENEOUS, NUISANCE_AHEAD], ids=["signal ahead", "nuisance ahead"])
def test_whole_fields_of_a_homogeneous_model(source, model):
    assert_gradients(PROGRAMS[source], model, NAMES, lambda name: True, whole_fields=True)


def frozen(covariances, block):
    """The covariances with one block that no parameter seems to move."""
    return dataclasses.replace(covariances, **{block: jax.lax.stop_gradient(getattr(covariances, block))})


def through_eigh(cell):
    """The CA subspace by plain eigh, whose derivative divides by the gaps inside the subspace."""
    root_x, root_y = (jnp.linalg.inv(jnp.linalg.cholesky(s)) for s in (cell.covariances.xx, cell.covariances.yy))
    c = root_x @ cell.covariances.xy @ root_y.T
    vectors = jnp.linalg.eigh(c @ c.T)[1][:, -cell.model.k:]
    return prediction_mse((cell.covariances.xy.T @ root_x.T @ vectors) @ (vectors.T @ root_x), cell.covariances)


MUTANTS = {
    "xx frozen": (lambda c: regression_singular_values(frozen(c.covariances, "xx")), UNEQUAL),
    "yy frozen": (lambda c: canonical_correlations(frozen(c.covariances, "yy")), UNEQUAL),
    "lambda frozen": (lambda c: solve_joint(c.covariances, 2, jax.lax.stop_gradient(c.lam)).predictor, UNEQUAL),
    "single eigenvectors": (lambda c: c.ca.encoder_x, UNEQUAL),  # a rotation inside the span is left out
    "plain eigh": (through_eigh, HOMOGENEOUS),
}


# One program for all mutants of a sample.
OF_SAMPLES = [name for name in MUTANTS if name != "plain eigh"]
MUTATED = {"sample": program({name: Quantity(MUTANTS[name][0], "") for name in OF_SAMPLES}, WHITE),
           "population": program({"plain eigh": Quantity(through_eigh, "")})}


@pytest.mark.parametrize("name", MUTANTS)
def test_differences_reject_a_mutant(name):
    source, names = ("sample", OF_SAMPLES) if name in OF_SAMPLES else ("population", [name])
    with pytest.raises(AssertionError):
        assert_gradients(MUTATED[source], MUTANTS[name][1], names, lambda other: other == name, whole_fields=False,
                         modes=("reverse",))


def test_edges_of_the_parameters_have_one_sided_slopes():
    """At nu = 0 and gamma = 0 a sample still is whitened: the slope is that of the admissible side."""
    quantities = {name: SMOOTH[name] for name in ("error_ca", "error_cp", "total_mse_ca", "signal_mse_cp")}
    model = UNEQUAL.replace(nu=[0.0, 0.2, 0.45], gamma_x=[0.0, 0.7], gamma_y=[0.1, 0.0])
    programs = program(quantities, WHITE)
    with jax.enable_x64(True):
        jacobian, base = programs["reverse"](model, 0.7), np.asarray(programs["values"](model, 0.7))
        for label, tangent in directions(model, False):
            if label not in ("nu[0]", "gamma_x[0]", "gamma_y[1]"):
                continue
            near, far = (moved(programs, model, 0.7, tangent, step) for step in (1e-5, 2e-5))
            one_sided = (4 * near - far - 3 * base) / 2e-5
            np.testing.assert_allclose(along(jacobian, tangent), one_sided, rtol=1e-5, atol=1e-7, err_msg=label)
