"""What a diagnosis says does not depend on threads, cores and the compiler, and its digits hardly."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import as_users_run

# Largest difference of a number that threads and flags of the compiler may make, relative to it or, below 1, absolute.
# It is stated in docs/json.md. Differences on these data are 2e-15.
TOLERANCE = 1e-9

CODE = """
import json
import numpy as np
import phasejax as pj
rng = np.random.default_rng(0)
s, e, f = rng.standard_normal((3, 120, 2))
x, y = np.c_[s + e / 2, rng.standard_normal((120, 2))], np.c_[s + f / 2, rng.standard_normal((120, 2))]
labels = (s[:, 0] > 0).astype(int)
found = [pj.diagnose(x, y, labels, k=1, fit=False), pj.diagnose(x, y, labels, method="spectral")]
print(json.dumps([{"words": one.summary(), "saved": json.loads(one.to_json())} for one in found]))
"""


def start(*before, **flags):
    return subprocess.Popen([*before, sys.executable, "-W", "ignore", "-c", CODE], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=as_users_run() | flags)


def outcome(process):
    with process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


def numbers(saved, path=""):
    """Every number of a saved diagnosis by its place, and everything else as it stands; not on what it was computed."""
    if isinstance(saved, dict):
        for name, value in saved.items():
            if name != "computed_on":
                yield from numbers(value, f"{path}.{name}")
    elif isinstance(saved, list):
        for i, value in enumerate(saved):
            yield from numbers(value, f"{path}[{i}]")
    else:
        yield path, saved


@pytest.mark.slow
def test_threads_and_the_compiler_change_few_digits_and_no_word():
    flag = "--xla_cpu_multi_thread_eigen=false"
    both = [start("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), OMP_NUM_THREADS="1"),
            start(OMP_NUM_THREADS="2", XLA_FLAGS=flag)]
    one, other = map(outcome, both)
    for here, there in zip(one, other, strict=True):
        assert here["words"] == there["words"]
        expected = {place: value if value is None or isinstance(value, str | bool) else
                    pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE) for place, value in numbers(here["saved"])}
        assert dict(numbers(there["saved"])) == expected
        found = [saved["saved"]["computed_on"] for saved in (here, there)]
        assert [about["cores"] for about in found] == ["1", str(len(os.sched_getaffinity(0)))]
        assert [about["OMP_NUM_THREADS"] for about in found] == ["1", "2"]
        assert [about.get("XLA_FLAGS") for about in found] == [None, flag]
        assert {(about["platform"], about["device"]) for about in found} == {("cpu", "1 cpu")}
