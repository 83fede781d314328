"""A process that was forked after JAX had run says so instead of waiting for ever; others compute."""

import subprocess
import sys

import numpy as np
import pytest

import phasejax as pj
from phasejax._core import forks
from phasejax.deep import PRESETS, train_grid
from phasejax.diagnosis import label_content, predict_scores
from phasejax.similarity import compare_representations, mutual_knn
from tests.support import ROOT

X, Y, LABELS = np.eye(30, 3), np.eye(30, 2), np.arange(30) % 2
MODEL = pj.SpikedModel.homogeneous(1.0, 0.5, k=1, d=2)
COVARIANCES = pj.simulation.population_covariances(MODEL)
REFUSAL = (r"^process: expected one in which JAX can run, got a fork of one in which it had run already; start workers "
           r"with multiprocessing.get_context\(\"spawn\"\), \"forkserver\" or joblib's loky$")


@pytest.mark.parametrize("compute", [
    lambda: pj.sweep(pj.SpikedModel.homogeneous(1.0, 0.5, k=1, d=2), {"nu": [0.5]}, quantities=["error_ca"], key=0),
    lambda: pj.diagnose(X, Y, LABELS),
    lambda: label_content(X, Y, LABELS[:, None] + 0.0, np.arange(30)),
    lambda: predict_scores(X, Y, LABELS[:, None] + 0.0, k=1, kind="real"),
    lambda: compare_representations(X, Y),
    lambda: mutual_knn(X, Y),
    lambda: train_grid(PRESETS["quick"]),
    lambda: pj.simulation.sample_pairs(0, MODEL, 5),
    lambda: pj.delta_ca(MODEL),
    lambda: pj.theory.sensitivity(MODEL),
    lambda: pj.theory.hard_bottleneck(2, 3),
    lambda: pj.theory.label_content(MODEL, 1),
    lambda: pj.linear.solve_ca(COVARIANCES, 1),
    lambda: pj.linear.top_k_projector(np.eye(2), 1),
    lambda: pj.information.tanh_network(0, 1, 2),
])
def test_entry_points_refuse(monkeypatch, compute):
    monkeypatch.setattr(forks, "_started_before_fork", True)
    with pytest.raises(RuntimeError, match=REFUSAL):
        compute()


def test_what_computes_without_jax_works_in_a_fork(monkeypatch):
    monkeypatch.setattr(forks, "_started_before_fork", True)
    pj.CrossAlignment().fit(X, Y + X[:, :2] + LABELS[:, None]).transform(X)
    pj.information.decompose(np.full((2, 2, 2), 0.125))
    pj.io.accumulate([X])


# Forks before and after JAX has run. What a child says comes through a pipe; one that hangs is given up.
FORKS = """
import os, select, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, phasejax as pj
from phasejax.similarity import cka
rows = np.random.default_rng(0).standard_normal((40, 4))
def in_child(compute):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = f"{compute():.3f}"
        except RuntimeError as error:
            said = str(error)
        os.write(writer, said.encode())
        os._exit(0)
    ready, _, _ = select.select([reader], [], [], 60)
    print(os.read(reader, 1000).decode() if ready else "hangs")
    os.kill(child, 9)
    os.waitpid(child, 0)
in_child(lambda: float(cka(rows, rows)))
print(f"{float(cka(rows, rows)):.3f}")
model = pj.SpikedModel.homogeneous(1.0, 0.5, k=1, d=4)
in_child(lambda: float(cka(rows, rows)))
in_child(lambda: float(pj.delta_ca(model)))
in_child(lambda: float(pj.simulation.sample_pairs(0, model, 40).x.sum()))
in_child(lambda: pj.information.decompose(np.full((2, 2, 2), 0.125)).total)
in_child(lambda: pj.CrossAlignment().fit(rows, rows).score(rows, rows))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_real_forks():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=200, check=True,
                          cwd=ROOT)
    unused, here, *used, information, estimator = done.stdout.splitlines()
    assert unused == here == estimator == "1.000"
    assert information == "0.000"
    assert len(used) == 3
    for said in used:
        assert said.startswith("process: expected one in which JAX can run")
