"""No public function may wait for ever on a machine with few cores.

On the CPU a compiled vmap over two or more LAPACK calls can deadlock. Each process below runs
kernels many times with default settings under a time limit; a hang is a failure.
"""

import subprocess
import sys

import pytest

from tests.support import as_users_run

SETUP = """
import jax, jax.numpy as jnp, numpy as np
import phasejax as pj
model = pj.SpikedModel.homogeneous(1.5, 0.4, nuisance_y=5.0, k=5, d=50)
key = jax.random.key(0)

def everything(nu):
    covariances = pj.simulation.sample_covariances(key, model.replace(nu=nu), 400)
    ca, cp = pj.linear.solve_ca(covariances, 5), pj.linear.solve_cp(covariances, 5)
    return (ca.encoder_x, cp.predictor, pj.linear.solve_joint(covariances, 5, 1.0).predictor,
            pj.linear.canonical_correlations(covariances), pj.linear.mean_squared_sine(ca.encoder_x, cp.encoder))
"""

KERNELS = {
    "sweep and diagnose": """
pj.sweep(model, {"nu": np.linspace(0, 0.9, 50)}, n=400, seeds=4, key=key,
         quantities=["error_ca", "error_cp", "error_joint", "separation_ca", "total_mse_ca"], fixed={"lam": 1.0})
rng = np.random.default_rng(0)
s = rng.standard_normal((500, 3))
x, y = (np.c_[s, rng.standard_normal((500, 40))] + rng.standard_normal((500, 43)) for _ in range(2))
pj.diagnose(x, y, s, k=3)  # by moments too, which fits the model again and again
""",
    # Where a batch is one call of LAPACK each, 20 calls one after the other end, and the first few in threads do not.
    "jitted vmap, in threads, and with gradients": """
from concurrent.futures import ThreadPoolExecutor
for function in (everything, jax.grad(lambda nu: everything(nu)[-1])):
    run = jax.jit(jax.vmap(function))
    jax.block_until_ready(run(jnp.linspace(0.1, 0.9, 100)))
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            list(pool.map(lambda i: jax.block_until_ready(run(jnp.linspace(0.1, 0.9, 100))), range(6)))
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernels_end(kernel):
    subprocess.run([sys.executable, "-c", SETUP + kernel + "\nprint('done')"], check=True, timeout=280,
                   env=as_users_run())
