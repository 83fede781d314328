"""Every public function that takes arguments, with small inputs on which it works."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.fuzz.sound_files import views


class Call(NamedTuple):
    """A public function and arguments with which it works."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    ready: dict[str, Any]  # arguments that are never exchanged


@functools.cache
def calls() -> tuple[Call, ...]:
    """The public functions, with small inputs on which they work."""
    return (*_of_theory(), *_of_linear(), *_of_simulation(), *_of_similarity(), *_of_io(), *_of_information(),
            *_of_deep(), *_of_losses(), *_of_diagnosis(), *_of_plotting())


def _call(function: Callable[..., Any], arguments: dict[str, Any], **ready: Any) -> Call:
    return Call(getattr(function, "__qualname__", "fitted"), function, arguments, ready)


@functools.cache
def _model() -> Any:
    from phasejax.theory import SpikedModel

    return SpikedModel.homogeneous(kappa=1.0, nu=0.5, k=2, d=4, nuisance_y=2.0)


@functools.cache
def _covariances() -> Any:
    from phasejax.linear import covariances_from_samples

    return covariances_from_samples(*views()[:2])


@functools.cache
def _diagnosis() -> Any:
    from phasejax.diagnosis import Diagnosis
    from tests.fuzz.hostile_baselines import baseline

    return Diagnosis.from_json(baseline())


@functools.cache
def _pilot() -> Any:
    from phasejax.diagnosis._pilot_plan import load_pilot
    from tests.support import ROOT

    return load_pilot(ROOT / "tests" / "data" / "diagnosis.json")


def _key() -> Any:
    import jax

    return jax.random.key(0)


def _of_theory():
    from phasejax import theory
    from phasejax.theory import SpikedModel

    model = {"model": _model()}
    for name in ("rho", "tau", "xi", "spectrum_ca", "spectrum_cp", "delta_ca", "delta_cp", "delta_cp_reverse", "r_ca",
                 "r_cp", "r_cp_reverse", "regime", "regime_code", "ratio_bound", "total_mse_ca", "total_mse_cp",
                 "signal_mse_ca", "signal_mse_cp", "sensitivity"):
        yield _call(getattr(theory, name), model)
    two, one = np.ones(2), np.ones(1)
    yield _call(SpikedModel, {"kappa": two, "nu": np.full(1, 0.5), "gamma_x": two, "gamma_y": two, "nuisance_x": one,
                              "nuisance_y": one})
    yield _call(SpikedModel.homogeneous, {"kappa": 1.0, "nu": 0.5, "k": 2, "d": 4, "d_y": 4,
                                          "nuisance_x": 1.0, "nuisance_y": 2.0})
    yield _call(SpikedModel.geometric, {"kappa_bar": 1.0, "nu": 0.5, "decay": 0.5, "k": 2, "d": 4})
    yield _call(SpikedModel.create, {"kappa": np.ones(2), "nu": 0.5, "gamma_x": 1.0, "gamma_y": 1.0, "d": 4})
    yield _call(_model().replace, {"kappa": np.ones(2), "nu": 0.5})
    yield _call(theory.nearest_boundary, model | {"target": "Both", "parameters": ("kappa",), "margin": 1e-5})
    yield _call(theory.finite_sample, model | {"n": 100})
    yield _call(theory.plan, model | {"probability": 0.9, "error": None, "label_r2": 1.0})
    yield _call(theory.label_content, model | {"k": 2, "loadings": np.eye(2)})
    yield _call(theory.label_content_of_covariances, {
        "xx": np.eye(4), "xy": 0.5 * np.eye(4), "yy": np.eye(4), "x_labels": np.ones((4, 1)),
        "y_labels": np.ones((4, 1)), "k": 2})
    yield _call(theory.separation_ratio, {"spectrum": np.ones(3), "is_signal": np.array([True, False, True])})
    yield _call(theory.soft_bottleneck_bound, {"correlations": np.full(2, 0.5)})
    yield _call(theory.soft_bottleneck_optimum, {"correlations": np.full(2, 0.5)})
    yield _call(_hard_bottleneck, {"rank": 3, "other": 2})
    yield _call(theory.ca_boundary, {"kappa": 1.0, "gamma_x": 1.0, "gamma_y": 1.0})
    yield _call(theory.cp_boundary, {"kappa": 1.0, "gamma_x": 1.0, "nuisance_y": 1.0})
    yield _call(theory.Regime.from_code, {"code": 1})


def _hard_bottleneck(rank: Any, other: Any) -> Any:
    from phasejax.theory import hard_bottleneck

    return hard_bottleneck(rank, other)


def _of_linear():
    from phasejax import linear

    x, y, labels = views()
    pair, sampled, key = {"x": x, "y": y}, {"covariances": _covariances()}, _key()
    two, other = np.eye(4)[:2], np.eye(4)[1:3]
    encoders = {"encoder_x": two, "encoder_y": other}
    yield _call(linear.covariances_from_samples, pair | {"centre": False})
    yield _call(linear.Covariances, {"xx": np.eye(4), "xy": np.eye(4), "yy": np.eye(4)})
    yield _call(linear.Whitened, sampled)
    yield _call(_covariances().with_ridge, {"ridge": 0.1})
    yield _call(linear.canonical_correlations, sampled | {"singular": False})
    yield _call(linear.regression_singular_values, sampled)
    for solver in (linear.solve_ca, linear.solve_cp, linear.solve_ca_probe):
        yield _call(solver, sampled | {"k": 2})
    yield _call(linear.solve_joint, sampled | {"k": 2, "lam": 0.5})
    yield _call(linear.linear_probe, sampled | {"encoder": two})
    yield _call(linear.encoder_norm, {"alignment": linear.solve_ca(_covariances(), 2)} | sampled)
    yield _call(linear.prediction_mse, {"predictor": np.eye(4)} | sampled)
    yield _call(linear.cp_loss, {"encoder": two, "decoder": two.T} | sampled)
    yield _call(linear.deepcca_loss, encoders | sampled | {"ridge": 1e-3})
    yield _call(linear.vicreg_loss, encoders | sampled | {"invariance": 25.0, "variance": 25.0, "covariance": 1.0})
    yield _call(linear.joint_loss, encoders | {"decoder": two.T} | sampled | {"lam": 0.5})
    yield _call(linear.info_nce_loss, {"z_x": x, "z_y": y, "temperature": 0.5})
    yield _call(linear.train, {"objective": "cp"} | sampled | {
        "k": 2, "lam": None, "learning_rate": 0.01, "window": 10, "tolerance": 1e-3, "max_steps": 3, "key": key})
    yield _call(linear.train, {"objective": "joint"} | sampled | {"k": 2, "lam": 0.5, "max_steps": 3, "key": 0})
    yield _call(linear.train_info_nce, pair | {
        "k": 2, "temperature": 0.5, "batch": 20, "learning_rate": 0.01, "window": 10, "check_every": 5,
        "tolerance": 1e-3, "max_steps": 3, "key": key})
    yield _call(linear.top_k_projector, {"matrix": np.eye(4), "k": 2})
    yield _call(linear.top_k_eigenspace, {"matrix": np.eye(4), "k": 2})
    for metric in (linear.principal_angles, linear.mean_squared_sine, linear.projector_distance):
        yield _call(metric, {"rows": two, "other": other})
    yield _call(linear.signal_directions, {"k": 2, "d": 4, "basis": np.eye(4)})
    yield _call(linear.signal_components, {"encoder": two, "k": 2})
    yield _call(linear.squared_overlaps, {"directions": two, "rows": other})
    yield _call(linear.recovered_count, {"directions": two, "rows": other, "threshold": 0.8})
    yield _call(linear.vicreg_multiplicities, {"correlations": np.full(3, 0.5), "k": 2, "invariance": 25.0,
                                               "covariance": 1.0})
    for estimator, own in ((linear.CrossAlignment, {}), (linear.CrossPrediction, {"direction": "x_to_y"}),
                           (linear.JointAlignmentPrediction, {"lam": 1.0, "direction": "x_to_y"})):
        yield _call(functools.partial(_fitted, estimator),
                    {"X": x, "Y": y, "n_components": 2, "shrinkage": 0.0, "ridge": 0.0} | own)
    yield _call(_encoded, {"X": np.c_[x, y], "y": labels, "encoder": linear.CrossAlignment(2), "split": 4,
                           "use": "both"})


def _fitted(estimator, X, Y, n_components, **settings):  # noqa: N803
    return estimator(n_components, **settings).fit(X, Y).transform(X)


def _encoded(X, y, encoder, split, use):  # noqa: N803
    from phasejax.linear import TwoViewEncoder

    return TwoViewEncoder(encoder, split=split, use=use).fit(X, y).transform(X)


def _of_simulation():
    from phasejax import simulation
    from phasejax.theory import SpikedModel

    key, model = _key(), {"model": _model()}
    small = {"build": SpikedModel.homogeneous, "axes": {"kappa": np.linspace(0, 3, 2)}, "quantities": ["regime"],
             "fixed": {"k": 2, "d": 4, "nu": 0.5}}
    yield _call(simulation.sweep, small | {"n": None, "seeds": 1, "key": 0, "common_random_numbers": True,
                                           "memory": None, "store": None, "executor": None, "progress": False})
    yield _call(_swept, {"function": lambda model, covariances: model.kappa[0]})
    yield _call(simulation.open_sweep, {"store": "none.zarr"})
    yield _call(simulation.Quantity, {"compute": lambda model, covariances: model.kappa[0], "long_name": "strength",
                                      "dims": (), "units": "1", "source": "theory"})
    yield _call(simulation.Quantity.from_function, {"function": lambda model: model.kappa[0], "name": "own"})
    yield _call(simulation.sample_pairs, {"key": key} | model | {"n": 10, "basis_x": np.eye(4), "basis_y": None})
    yield _call(simulation.sample_covariances, {"key": key} | model | {"n": 10})
    yield _call(simulation.bartlett_factor, {"key": key, "n": 10, "d": 3})
    yield _call(simulation.colour, {"factor": np.eye(8)} | model)
    yield _call(simulation.random_basis, {"key": key, "d": 3})
    yield _call(simulation.population_covariances, model | {"basis_x": None, "basis_y": np.eye(4)})
    yield _call(simulation.signal_covariances, model | {"basis_x": None, "basis_y": np.eye(4)})
    yield _call(_first_check, {"seed": 0})


def _first_check(seed: Any) -> Any:
    from phasejax.simulation import run_checks

    return next(run_checks(seed))


def _swept(function: Any) -> Any:
    from phasejax import SpikedModel, sweep

    return sweep(SpikedModel.homogeneous, {"kappa": [1.0, 2.0]}, quantities={"own": function},
                 fixed={"k": 2, "d": 4, "nu": 0.5}, n=20, key=0)


def _of_similarity():
    from phasejax import similarity

    x, y, _ = views()
    pair = {"x": x, "y": y}
    yield _call(similarity.compare_representations, pair | {
        "metrics": ["cka", "mutual_knn"], "k": 5, "distance": "cosine", "bandwidth": 1.0, "components": None,
        "permutations": 3, "resamples": 2, "confidence": 0.9, "groups": None, "pca": None, "by_position": False,
        "missing": "error", "seed": 0, "progress": False})
    for metric in (similarity.mean_canonical_correlation, similarity.correlation_matrix_distance):
        yield _call(metric, dict(pair))
    yield _call(similarity.cka, pair | {"kernel": "linear", "unbiased": True, "block": None})
    yield _call(similarity.cka, pair | {"unbiased": True, "bandwidth": 1.0, "block": None}, kernel="rbf")
    yield _call(similarity.svcca, pair | {"components": 2, "standardise": False})
    for metric in (similarity.cknna, similarity.cycle_knn, similarity.edit_similarity_knn, similarity.lcs_knn,
                   similarity.mutual_knn):
        yield _call(metric, pair | {"k": 5, "distance": "cosine", "block": None})
    yield _call(similarity.nearest_neighbours, {"x": x, "k": 5, "distance": "cosine", "block": None})


def _of_io():
    from phasejax import io

    x, y, labels = views()
    labelled = {"x": x, "y": y, "labels": labels}
    matched = {"labelled": None, "groups": None, "by_position": False, "missing": "error"}
    yield _call(io.match_rows, labelled | matched)
    yield _call(io.inspect_pair, labelled | matched | {"label_kind": "auto", "k": None})
    yield _call(io.encode_labels, {"labels": labels, "rows": 60, "kind": "auto"})
    yield _call(io.accumulate, {"tables": [x, y], "folds": 2, "seed": 0, "names": ["x", "y"], "rows_at_once": 10,
                                "memory": 2**20, "progress": False})
    yield _call(io.Moments.of, {"block": x})
    yield _call(io.as_named, {"value": x, "name": "value", "id_column": None, "groups_column": None,
                              "labels_column": None, "other_columns": None, "flatten": False})
    yield _call(io.open_table, {"source": x, "name": "source", "flatten": False})
    yield _call(io.load_array, {"path": "none.npy"})
    yield _call(io.Table, {"name": "x", "shape": (60, 4), "dtype": np.dtype(float),
                           "read": lambda start, stop: x[start:stop], "step": 1})
    yield _call(io.open_table(x, "x").rows, {"start": 0, "stop": 5})


def _of_information():
    from phasejax import information

    key, (x, y, labels) = _key(), views()
    yield _call(information.decompose, {"table": np.full((2, 2, 2), 0.125), "measure": "broja", "tolerance": 1e-7})
    yield _call(information.estimate_decomposition, {
        "x": x, "y": y, "labels": labels, "method": "posterior", "cells": 4, "measure": "broja", "shuffles": 2,
        "seed": 0})
    yield _call(information.estimate_decomposition, {"x": x, "y": y, "labels": labels, "cells": 4, "shuffles": 2,
                                                     "seed": 0}, method="quantile")
    yield _call(information.tanh_network, {"key": key, "depth": 2, "d": 4})
    yield _call(information.shared_unique_bits, {
        "key": key, "redundancy": 1, "synergy": 0, "features": 4, "shared": 2, "unique": 2, "classes": 2,
        "information": 0.5})
    bits = information.shared_unique_bits(key, 1, features=4, shared=2, unique=2, classes=2, information=0.5)
    yield _call(information.draw_rows, {"key": key, "model": bits, "n": 5})
    for function in (information.joint_table, information.pair_table, information.mutual_information):
        yield _call(function, {"model": bits})
    yield _call(information.best_strength, {"accuracy": x[:3, :2], "strengths": np.array([0.0, 1.0]), "level": 0.95,
                                            "draws": 20, "seed": 0})
    yield _call(information.correlation_with_accuracy, {"found": None})
    small = {"redundancies": (1,), "seeds": 1, "steps": 2, "batch": 16, "width": 4}
    for experiment, run, more in (
            (information.ImposedAlignment, information.run_imposed_alignment, {"strengths": (0.0,), "n": 100}),
            (information.EmergentAlignment, information.run_emergent_alignment, {"transform_depths": (1,),
                                                                                 "depths": (1,), "rows": 50,
                                                                                 "neighbours": 5})):
        yield _call(run, {"experiment": experiment(**small, **more), "store": None, "progress": False})
        yield _call(experiment, small | more)


_EXPERIMENT = {
    "data": "dsprites", "path": None, "size": 16, "n": 200, "jitters": (0.0,), "noises": (0.2,),
    "objectives": ("cp",), "seeds": 1, "encoder": "mlp", "activation": "relu", "widths": (4,), "hidden": (4,),
    "embedding": 4, "projection": 2, "batch": 16, "learning_rate": 1e-3, "max_epochs": 1, "patience": 1,
    "lam": 1.0, "temperature": 0.1, "probed": "projection", "probe_sizes": (20, 40), "precision": "float32"}


def _experiment() -> Any:
    from phasejax.deep import Experiment

    return Experiment(**_EXPERIMENT)


def _of_deep():
    from phasejax import deep

    x, y, labels = views()
    yield _call(deep.pilot_embeddings, {
        "x": x, "y": y, "fold": np.arange(60) % 2, "k": 2, "groups": None, "pca": None, "encoder": "mlp", "batch": 16,
        "hidden": (4,), "learning_rate": 1e-3, "seed": 0, "progress": False, "objectives": ("CA",),
        "weight_decays": None}, steps=2)
    yield _call(deep.seed_interval, {"values": np.array([0.5, 0.6, 0.7]), "axis": 0, "level": 0.9})
    yield _call(deep.Experiment, _EXPERIMENT)
    yield _call(deep.Architecture, {
        "shape_x": (16, 16, 1), "shape_y": (16, 16, 1), "classes": 3, "encoder": "mlp", "activation": "relu",
        "widths": (4,), "hidden": (4,), "embedding": 4, "projection": 2})
    yield _call(deep.train_grid, {"experiment": _experiment(), "store": None, "cells_at_once": None,
                                   "progress": False})
    yield _call(deep.evaluate, {"trained": None})
    yield _call(deep.train_heads, {
        "x": x, "y": y, "labels": labels, "groups": None, "nuisance": None, "confounders": None, "split": None,
        "objectives": ("CP x->y",), "bottleneck": 2, "widths": (4,), "norm": "batch", "dropout": 0.1,
        "learning_rate": 1e-3, "weight_decay": 1e-4, "alpha": 0.5, "temperature": 0.1, "grid": None, "batch": 16,
        "patience": 1, "seeds": 1, "probes": ("logistic",), "heads": None, "label_kind": "auto", "confidence": 0.9,
        "by_position": False, "missing": "error", "seed": 0, "progress": False}, epochs=2)
    rows = deep.ProbeRows(x, labels, np.zeros((60, 0)), 40, 10)
    yield _call(deep.ProbeRows, {"features": x, "labels": labels, "positions": np.zeros((60, 1)), "train": 40,
                                 "validation": 10})
    yield _call(deep.probe, {"rows": rows, "sizes": (20, 40)})


def _of_losses():
    from phasejax.deep import data, losses

    x, y, labels = views()
    pair = {"z_x": x, "z_y": y}
    yield _call(losses.vicreg, pair | {"invariance": 25.0, "variance": 25.0, "covariance": 1.0})
    yield _call(losses.deepcca, pair | {"ridge": 1e-3})
    yield _call(losses.prediction, {"predicted": x, "target": y})
    yield _call(losses.joint, {"predicted": x, "target": y} | pair | {"lam": 0.5})
    yield _call(losses.supervised, {"logits": x, "labels": labels})
    yield _call(data.stereo_dsprites, {"size": 16, "path": None})
    stereo = data.stereo_dsprites(16)
    yield _call(data.render, {"stereo": stereo, "key": _key(), "shape": 0, "position": np.zeros(2), "jitter": 0.1,
                              "noise": 0.1})


def _of_diagnosis():
    import xarray as xr

    from phasejax import diagnosis

    x, y, labels = views()
    pair = {"x": x, "y": y}
    columns = {"columns": np.eye(2)[labels], "labelled": np.arange(60), "kind": "class", "groups": None, "seed": 0}
    yield _call(diagnosis.diagnose, pair | {
        "labels": labels, "labelled": None, "groups": None, "by_position": False, "missing": "error", "k": 2,
        "method": "content", "pilot": False, "pca": None, "confidence": 0.9, "label_kind": "auto", "seed": 0,
        "ridge": "relative", "fit": False, "predicted_scores": False, "progress": False})
    yield _call(diagnosis.diagnose, pair | {"labels": labels, "pca": None, "ridge": "relative"},
                method="spectral")
    yield _call(diagnosis.diagnose_again, {"baseline": _diagnosis()} | pair | {
        "labels": labels, "labelled": None, "label_kind": "class", "groups": None, "by_position": False,
        "missing": "error", "seed": 0})
    yield _call(diagnosis.plan_from_pilot, {"pilot": _pilot(), "probability": 0.9, "error": None, "label_r2": 1.0,
                                            "draws": 0, "progress": False})
    yield _call(diagnosis.compare_heads, {"found": None})
    yield _call(diagnosis.detect_drift, {"baseline": _diagnosis(), "now": _diagnosis(), "level": 0.01})
    yield _call(diagnosis.choose_estimator, {"diagnosis": _diagnosis(), "name": "CA"})
    yield _call(diagnosis.shared_signal, pair | columns | {"level": 0.01})
    yield _call(diagnosis.label_content, pair | {
        "columns": columns["columns"], "labelled": np.arange(60), "groups": None, "ks": [1, 2],
        "beyond_rank": "error", "seed": 0, "confidence": 0.9})
    yield _call(diagnosis.noise_for_r2, {"columns": x[:, :2], "features": y, "share": 0.5, "units": None, "seed": 0})
    yield _call(diagnosis.quantile_bins, {"values": x[:, 0], "bins": 4})
    yield _call(diagnosis.fold_classes, {"labels": labels, "mapping": {0: "a", 1: "b"}})
    yield _call(diagnosis.merge_classes, {"labels": np.arange(60) % 3, "features": x, "classes": 2})
    yield _call(diagnosis.reassign_labels, {"labels": labels, "share": 0.25, "units": None, "seed": 0})
    yield _call(diagnosis.pseudo_labels, {"view": x, "k": 3, "groups": None, "folds": 2, "seed": 0})
    yield _call(diagnosis.label_quality, pair | {
        "labels": np.arange(60) % 3, "by": "coarsening", "k": 2, "groups": None, "labelled": None, "label_kind": "auto",
        "pca": None, "r2_shares": None, "bins": None, "classes": [2], "mapping": None, "reassigned": None,
        "clusters": None, "view": None, "sizes": None, "ridges": None, "repeats": None, "subsamples": None,
        "among": ["CA", "CP both"], "confidence": 0.9, "divisions": 1, "by_position": False, "missing": "error",
        "seed": 0, "store": None, "progress": False})
    yield _call(diagnosis.fair_scores, pair | columns | {"k": 2, "pilot": None, "folds": 5, "repeats": 1, "pca": None})
    yield _call(diagnosis.scores_over_k, pair | columns | {"ks": [1, 2], "folds": 5, "repeats": 1, "pca": None})
    yield _call(diagnosis.predict_scores, pair | columns | {"k": 2, "folds": 5, "repeats": 1, "pca": None})
    yield _call(diagnosis.compare_with_diagnosis, {"trained": None, "scores": xr.Dataset()})
    yield _call(diagnosis.load_baseline, {"path": "none.json"})
    yield _call(diagnosis.Diagnosis.from_json, {"text": "{}"})
    yield _call(diagnosis.write_report, {"diagnosis": _diagnosis(), "path": "report.html", "sources": {"x": "x.npy"}})
    yield _call(diagnosis.plot_diagnosis, {"diagnosis": _diagnosis(), "figure": None})


def _of_plotting():
    import xarray as xr
    from matplotlib.figure import Figure

    from phasejax import plotting

    ax = {"ax": Figure().subplots()}
    grid = xr.DataArray(np.linspace(0.5, 2, 6).reshape(2, 3), {"kappa": [1.0, 2.0], "nu": [0.1, 0.2, 0.3]},
                        name="delta_ca", attrs={"long_name": "ratio", "units": "1"})
    codes = grid.copy(data=np.arange(6).reshape(2, 3) % 4)
    yield _call(plotting.plot_boundaries, ax | {"ca": grid, "cp": grid, "linewidth": 1.4})
    yield _call(plotting.plot_counts, ax | {"counts": codes, "x": "kappa", "y": "nu", "top": 3}, colour="C0")
    yield _call(plotting.plot_curve, ax | {"values": grid.rename(nu="seed"), "x": "kappa"})
    yield _call(plotting.plot_regimes, ax | {"regime": codes, "x": "kappa", "y": "nu"})
    yield _call(plotting.plot_phase_diagram, {"model": _model(), "ax": None, "kappa": [0.5, 1.0], "cells": 5})
    yield _call(plotting.regime_legend, {"figure": Figure(), "ncols": 6, "boundaries": True})
    yield _call(plotting.new_figure, {"width": "page", "height": 2.0})
    yield _call(plotting.axis_label, {"coordinate": grid.kappa})
    yield _call(plotting.draw_spread, ax | {"x": np.arange(3.0), "values": np.ones((3, 4))}, colour="C0")
