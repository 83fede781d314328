"""Calls of public functions with one or two arguments that do not fit."""

import functools
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import numpy as np

from tests.fuzz.odd_values import kind_of, odd_value
from tests.fuzz.sound_files import views


class Call(NamedTuple):
    """A public function and arguments with which it works."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    ready: dict[str, Any]  # arguments that are never exchanged


_SLOW = (
    "diagnose",
    "shared_signal",
    "label_content",
    "fair_scores",
    "scores_over_k",
    "predict_scores",
    "sweep",
    "_swept",
    "compare_representations",
    "train",
    "train_info_nce",
    "pilot_embeddings",
    "estimate_decomposition",
    "nearest_boundary",
    "finite_sample",
    "run_checks",
    "svcca",
)


@functools.cache
def calls() -> tuple[Call, ...]:
    """The public functions, with small inputs on which they work."""
    import jax

    from phasejax import deep, diagnosis, information, linear, similarity, simulation, theory
    from phasejax import io as pj_io
    from phasejax.theory import SpikedModel

    x, y, labels = views()
    model = SpikedModel.homogeneous(kappa=1.0, nu=0.5, k=2, d=4, nuisance_y=2.0)
    sampled = linear.covariances_from_samples(x, y)
    key = jax.random.key(0)
    pair, labelled = {"x": x, "y": y}, {"x": x, "y": y, "labels": labels}
    matched = {"labelled": None, "groups": None, "by_position": False, "missing": "error"}
    table = np.full((2, 2, 2), 0.125)
    found = []

    def add(function, arguments, **ready):
        found.append(Call(getattr(function, "__qualname__", "fitted"), function, arguments, ready))

    add(
        diagnosis.diagnose,
        labelled
        | matched
        | {
            "k": 2,
            "method": "content",
            "pca": None,
            "confidence": 0.9,
            "label_kind": "auto",
            "seed": 0,
            "ridge": "relative",
            "progress": False,
        },
        fit=False,
        predicted_scores=False,
    )
    add(
        diagnosis.diagnose,
        labelled | {"k": 2, "pca": None, "confidence": 0.9, "label_kind": "class", "ridge": "relative"},
        method="spectral",
    )
    columns = {"columns": np.eye(2)[labels], "labelled": np.arange(60), "kind": "class", "groups": None, "seed": 0}
    add(diagnosis.shared_signal, pair | columns | {"level": 0.01})
    add(
        diagnosis.label_content,
        pair
        | {
            "columns": columns["columns"],
            "labelled": np.arange(60),
            "groups": None,
            "ks": [1, 2],
            "seed": 0,
            "confidence": 0.9,
        },
    )
    add(diagnosis.fair_scores, pair | columns | {"k": 2, "folds": 5, "repeats": 1, "pca": None})
    add(diagnosis.scores_over_k, pair | columns | {"ks": [1, 2], "folds": 5, "repeats": 1, "pca": None})
    add(diagnosis.predict_scores, pair | columns | {"k": 2, "folds": 5, "repeats": 1, "pca": None})
    add(diagnosis.load_baseline, {"path": "none.json"})
    add(
        similarity.compare_representations,
        pair
        | {
            "metrics": ["cka_linear"],
            "k": 5,
            "distance": "cosine",
            "bandwidth": 1.0,
            "components": None,
            "permutations": 3,
            "resamples": 2,
            "confidence": 0.9,
            "groups": None,
            "pca": None,
            "by_position": False,
            "missing": "error",
            "seed": 0,
            "progress": False,
        },
    )
    for metric in (
        similarity.cka,
        similarity.svcca,
        similarity.mean_canonical_correlation,
        similarity.correlation_matrix_distance,
    ):
        add(metric, dict(pair))
    add(similarity.cka, pair | {"kernel": "rbf", "unbiased": True, "bandwidth": 1.0})
    add(similarity.svcca, pair | {"components": 2, "standardise": False})
    for metric in (
        similarity.cknna,
        similarity.cycle_knn,
        similarity.edit_similarity_knn,
        similarity.lcs_knn,
        similarity.mutual_knn,
    ):
        add(metric, pair | {"k": 5, "distance": "cosine", "block": None})
    add(similarity.nearest_neighbours, {"x": x, "k": 5, "distance": "cosine", "block": None})
    add(pj_io.match_rows, labelled | matched)
    add(pj_io.inspect_pair, labelled | matched | {"label_kind": "auto", "k": None})
    add(pj_io.encode_labels, {"labels": labels, "rows": 60, "kind": "auto"})
    add(
        pj_io.accumulate,
        {
            "tables": [x, y],
            "folds": 2,
            "seed": 0,
            "names": ["x", "y"],
            "rows_at_once": 10,
            "memory": 2**20,
            "progress": False,
        },
    )
    add(pj_io.as_named, {"value": x, "name": "x", "id_column": None, "flatten": False})
    add(pj_io.open_table, {"source": x, "name": "x", "flatten": False})
    add(pj_io.load_array, {"path": "none.npy"})
    add(
        pj_io.Table,
        {"name": "x", "shape": (60, 4), "dtype": np.dtype(float), "read": lambda start, stop: x[start:stop], "step": 1},
    )
    add(
        SpikedModel,
        {
            "kappa": np.ones(2),
            "nu": np.full(1, 0.5),
            "gamma_x": np.ones(2),
            "gamma_y": np.ones(2),
            "nuisance_x": np.ones(1),
            "nuisance_y": np.ones(1),
        },
    )
    add(SpikedModel.homogeneous, {"kappa": 1.0, "nu": 0.5, "k": 2, "d": 4, "nuisance_y": 2.0})
    add(SpikedModel.geometric, {"kappa_bar": 1.0, "nu": 0.5, "decay": 0.5, "k": 2, "d": 4})
    add(theory.nearest_boundary, {"model": model, "target": "Both", "parameters": ("kappa",), "margin": 1e-5})
    add(theory.finite_sample, {"model": model, "n": 100})
    add(theory.label_content, {"model": model, "k": 2, "loadings": None})
    add(
        theory.label_content_of_covariances,
        {
            "xx": np.eye(4),
            "xy": 0.5 * np.eye(4),
            "yy": np.eye(4),
            "x_labels": np.ones((4, 1)),
            "y_labels": np.ones((4, 1)),
            "k": 2,
        },
    )
    add(theory.separation_ratio, {"spectrum": np.ones(3), "is_signal": np.array([True, False, True])})
    add(theory.soft_bottleneck_bound, {"correlations": np.full(2, 0.5)})
    add(theory.ca_boundary, {"kappa": 1.0, "gamma_x": 1.0, "gamma_y": 1.0})
    add(linear.covariances_from_samples, pair | {"centre": False})
    add(linear.Covariances, {"xx": np.eye(4), "xy": np.eye(4), "yy": np.eye(4)})
    for solver in (linear.solve_ca, linear.solve_cp, linear.solve_ca_probe):
        add(solver, {"covariances": sampled, "k": 2})
    add(linear.solve_joint, {"covariances": sampled, "k": 2, "lam": 0.5})
    add(
        linear.train,
        {"objective": "cp", "covariances": sampled, "k": 2, "lam": None, "learning_rate": 0.01, "max_steps": 3},
        key=key,
    )
    add(linear.train_info_nce, pair | {"k": 2, "temperature": 0.5, "max_steps": 3}, key=key)
    add(linear.top_k_projector, {"matrix": np.eye(4), "k": 2})
    add(linear.principal_angles, {"rows": np.eye(4)[:2], "other": np.eye(4)[1:3]})
    add(linear.signal_directions, {"k": 2, "d": 4, "basis": None})
    add(linear.recovered_count, {"directions": np.eye(4)[:2], "rows": np.eye(4)[1:3], "threshold": 0.8})
    add(linear.vicreg_multiplicities, {"correlations": np.full(3, 0.5), "k": 2, "invariance": 25.0, "covariance": 1.0})
    for estimator in (linear.CrossAlignment, linear.CrossPrediction):
        add(functools.partial(_fitted, estimator), {"n_components": 2, "shrinkage": 0.0, "ridge": 0.0}, X=x, Y=y)
    add(
        simulation.sweep,
        {
            "build": SpikedModel.homogeneous,
            "axes": {"kappa": np.linspace(0, 3, 2)},
            "quantities": ["regime"],
            "fixed": {"k": 2, "d": 4, "nu": 0.5},
            "n": None,
            "seeds": 1,
            "key": 0,
            "memory": None,
            "store": None,
            "progress": False,
        },
    )
    add(_swept, {"function": lambda cell: cell.model.kappa[0]})
    add(simulation.sample_pairs, {"key": key, "model": model, "n": 10})
    add(simulation.sample_covariances, {"key": key, "model": model, "n": 10})
    add(simulation.bartlett_factor, {"key": key, "n": 10, "d": 3})
    add(simulation.random_basis, {"key": key, "d": 3})
    add(simulation.population_covariances, {"model": model, "basis_x": None, "basis_y": None})
    add(simulation.run_checks, {"seed": 0})
    add(information.decompose, {"table": table, "measure": "broja", "tolerance": 1e-7})
    add(
        information.estimate_decomposition,
        labelled | {"method": "posterior", "cells": 4, "measure": "broja", "shuffles": 2, "seed": 0},
    )
    add(information.estimate_decomposition, labelled | {"cells": 4, "shuffles": 2, "seed": 0}, method="bins")
    add(information.tanh_network, {"key": key, "depth": 2, "d": 4})
    add(
        information.shared_unique_bits,
        {
            "key": key,
            "redundancy": 1,
            "synergy": 0,
            "features": 4,
            "shared": 2,
            "unique": 2,
            "classes": 2,
            "information": 0.5,
        },
    )
    add(
        deep.pilot_embeddings,
        pair
        | {
            "fold": np.arange(60) % 2,
            "k": 2,
            "encoder": "mlp",
            "batch": 16,
            "hidden": (4,),
            "learning_rate": 1e-3,
            "seed": 0,
            "progress": False,
            "objectives": ("CA",),
            "weight_decays": None,
        },
        steps=2,
    )
    add(deep.seed_interval, {"values": [0.5, 0.6, 0.7], "axis": 0, "level": 0.9})
    return tuple(found)


def _fitted(estimator, X, Y, n_components, shrinkage, ridge):  # noqa: N803
    return estimator(n_components, shrinkage=shrinkage, ridge=ridge).fit(X, Y).transform(X)


def _swept(function):
    from phasejax import SpikedModel, sweep

    return sweep(
        SpikedModel.homogeneous,
        {"kappa": [1.0, 2.0]},
        quantities={"own": function},
        fixed={"k": 2, "d": 4, "nu": 0.5},
        n=20,
        key=0,
    )


def odd_call(rng: Random, quick: bool = False) -> tuple[Call, dict[str, Any]]:
    """A function, and its arguments with one or two exchanged. Models and results of this package are left alone.

    Args:
        rng: source of all choices.
        quick: whether only functions are chosen that compile no large program.
    """
    call = rng.choice([call for call in calls() if _exchangeable(call) and not (quick and call.name in _SLOW)])
    names = _exchangeable(call)
    chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2))))
    return call, {name: odd_value(rng, kind_of(name, call.arguments[name])) for name in chosen}


def _exchangeable(call):
    return [name for name, good in call.arguments.items() if kind_of(name, good) != "skip"]
