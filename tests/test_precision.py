"""No float64 input meets float32 arithmetic unasked: functions that promise float64 compile no program with float32.

JAX computes in float32 unless told otherwise, so that one array made outside `jax.enable_x64` is enough. Every program
that a call compiles is written to a folder, and searched. What NumPy computes is seen by digits: views whose columns
are nearly the same, or far from zero, have none left in float32.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.support import ROOT

CALLS = """
    import glob, json, os, re, sys, warnings

    warnings.simplefilter("ignore")
    os.environ["JAX_DUMP_IR_TO"] = folder = sys.argv[1]
    import jax
    import jax.numpy as jnp
    import numpy as np

    import phasejax as pj
    from phasejax import diagnosis, information, io, linear, similarity

    rng, n = np.random.default_rng(0), 120
    s, e, f = (rng.standard_normal((n, d)) for d in (2, 2, 2))
    x = np.c_[s + e / 2, rng.standard_normal(n)]
    y = np.c_[s + f / 2, rng.standard_normal(n)]
    far = np.c_[x[:, :2], x[:, 0] + x[:, 2] * 2.0**-10] * 2.0**40 + 2.0**44
    classes = (s[:, 0] > 0).astype(int)
    some = np.where(np.arange(n) == 7, np.nan, classes)
    of_all = np.eye(2)[classes], np.arange(n)
    metrics = ["mutual_knn", "cka", "svcca", "mean_canonical_correlation"]
    calls = {
        "compare_representations": lambda: similarity.compare_representations(far, y, k=4, metrics=metrics,
                                                                           permutations=9, resamples=3),
        "estimate_decomposition": lambda: information.estimate_decomposition(far, y[:, :1], classes, shuffles=3),
        "content": lambda: diagnosis.diagnose(far, y, some, k=1, fit=False),
        "moments": lambda: diagnosis.diagnose(far, y, some, k=1, method="moments"),
        "moments of real labels": lambda: diagnosis.diagnose(x, y, s[:100], k=1, labelled=np.arange(100),
                                                             method="moments"),
        "spectral": lambda: diagnosis.diagnose(far, y, classes, method="spectral"),
        "predict_scores": lambda: diagnosis.predict_scores(far, y, of_all[0], k=2, kind="class"),
        "label_content": lambda: diagnosis.label_content(far, y, *of_all),
        "shared_signal": lambda: diagnosis.shared_signal(far, y, *of_all, kind="class"),
        "fair_scores": lambda: diagnosis.fair_scores(far, y, *of_all, kind="class", k=2),
        "inspect_pair": lambda: io.inspect_pair(far, y, classes),
        "accumulate": lambda: io.accumulate([far, y]),
        **{name: lambda name=name: getattr(linear, name)(2).fit(far, y).transform(far, y)
           for name in ("CrossAlignment", "CrossPrediction")},
        "a leak": lambda: jnp.cov(jnp.asarray(x.T)),
    }
    for name, call in calls.items():
        for file in glob.glob(f"{folder}/*"):
            os.remove(file)
        call()
        leaks = [os.path.basename(file) for file in glob.glob(f"{folder}/*")
                 if re.search("xf32>|tensor<f32>", open(file).read())]
        print(json.dumps([name, leaks]), flush=True)
"""


@pytest.mark.slow
def test_no_program_computes_in_float32(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(CALLS))
    (tmp_path / "programs").mkdir()
    ran = subprocess.run([sys.executable, program, tmp_path / "programs"], capture_output=True, text=True, cwd=ROOT,
                         env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "false"})
    assert ran.returncode == 0, ran.stderr[-2000:]
    leaks = dict(json.loads(line) for line in ran.stdout.splitlines())
    assert leaks.pop("a leak"), "the check sees nothing"
    assert len(leaks) == 14
    assert not any(leaks.values()), leaks
