"""Networks of heads as pure functions of their parameters.

An encoder maps the features of a view to a bottleneck of k numbers: dense layers, each followed by a norm, a ReLU and
dropout, and a linear layer at the end. A decoder has the same hidden layers in reverse. The random numbers
of dropout are drawn for all networks of a step at once, which the modules of `_networks` cannot.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from phasejax._core.pytree import HostOrDevice

# Share of the old value in the running means of batch norm after a step, and what is added to variances; PyTorch's.
_MOMENTUM, _EPSILON = 0.9, 1e-5


def new_layers(key: Key[Array, ""], widths: Sequence[int], norm: str | None) -> PyTree:
    """Parameters of dense layers, uniform up to 1 over the root of the fan-in, as PyTorch draws them.

    A row whose hidden values are all 0 then has a direction at the end, which InfoNCE needs.

    Args:
        key: of the draws.
        widths: of the input, the hidden layers and the output.
        norm: "batch", "layer" or None; with a norm each hidden layer has a scale too.
    """
    layers = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        hidden = i < len(widths) - 2
        bound = 1 / np.sqrt(inputs)
        drawn = jax.random.uniform(jax.random.fold_in(key, i), (inputs + 1, outputs), minval=-bound, maxval=bound)
        layer = {"kernel": drawn[1:], "bias": drawn[0]}
        layers.append(layer | {"scale": jnp.ones(outputs)} if hidden and norm is not None else layer)
    return layers


def new_means(widths: Sequence[int], norm: str | None) -> PyTree:
    """Running means and variances of the hidden layers with batch norm, before the first step; else none."""
    hidden = widths[1:-1] if norm == "batch" else ()
    return [{"mean": jnp.zeros(width), "variance": jnp.ones(width)} for width in hidden]


def hidden_scales(key: Key[Array, ""], rows: int, widths: Sequence[Sequence[int]], dropout: Any
                  ) -> list[list[Float[Array, "n width"]]]:
    """What dropout multiplies the hidden values of a step by: 0, or 1 over the share that is kept.

    All are drawn in one call, with 16 random bits each: on a CPU many small draws take longer than the products of
    matrices do.

    Args:
        key: of the step.
        rows: in the step.
        widths: of the hidden layers of each network.
        dropout: share of the values that is set to 0, rounded to 2^-16.
    """
    sizes = [rows * width for network in widths for width in network]
    bits = jax.random.bits(key, ((sum(sizes) + 1) // 2,), jnp.uint32)
    drawn = jnp.concatenate([bits & 0xFFFF, bits >> 16])
    scale = jnp.where(drawn < jnp.round((1 - dropout) * 2**16).astype(jnp.uint32), 1 / (1 - dropout), 0.0)
    parts = iter(jnp.split(scale[:sum(sizes)], np.cumsum(sizes)[:-1].tolist()) if sizes else [])
    return [[next(parts).reshape(rows, width) for width in network] for network in widths]


def applied(layers: PyTree, means: PyTree, rows: Float[HostOrDevice, "n d"], norm: str | None,
            scales: Sequence[Float[HostOrDevice, "n width"]] | None = None) -> tuple[Float[Array, "n k"], PyTree]:
    """Outputs of dense layers, and the running means after this batch.

    Args:
        layers, means: from `new_layers` and `new_means`.
        rows: inputs.
        norm: as there.
        scales: of the hidden values while the network trains (`hidden_scales`); None where it embeds, with running
            means and all hidden values.
    """
    rows, after = jnp.asarray(rows), []
    for i, layer in enumerate(layers[:-1]):
        rows = rows @ layer["kernel"]
        if norm == "layer":
            rows = _normed(rows, rows.mean(1, keepdims=True), rows.var(1, keepdims=True)) * layer["scale"]
        elif norm == "batch" and scales is None:
            rows = _normed(rows, means[i]["mean"], means[i]["variance"]) * layer["scale"]
        elif norm == "batch":
            mean, variance, old = rows.mean(0), rows.var(0), means[i]
            rows = _normed(rows, mean, variance) * layer["scale"]
            unbiased = variance * len(rows) / max(len(rows) - 1, 1)
            after.append({"mean": _MOMENTUM * old["mean"] + (1 - _MOMENTUM) * mean,
                          "variance": _MOMENTUM * old["variance"] + (1 - _MOMENTUM) * unbiased})
        rows = jax.nn.relu(rows + layer["bias"])
        if scales is not None:
            rows = rows * scales[i]
    return rows @ layers[-1]["kernel"] + layers[-1]["bias"], after


def _normed(rows, mean, variance):
    return (rows - mean) * jax.lax.rsqrt(variance + _EPSILON)


def deepcca(z_x: Float[Array, "n k"], z_y: Float[Array, "n k"], ridge: float = 1e-3) -> Float[Array, ""]:
    """`losses.deepcca` by LAPACK's factorisations, whose program does not grow with k.

    Not to be batched with `vmap` on a CPU, where several factorisations in a batch can wait for one another for ever.
    """
    z_x, z_y = z_x - z_x.mean(0), z_y - z_y.mean(0)
    over, added = len(z_x) - 1, ridge * jnp.eye(z_x.shape[1])
    root_x, root_y = (jnp.linalg.cholesky(z.T @ z / over + added) for z in (z_x, z_y))
    half = jax.scipy.linalg.solve_triangular(root_x, z_x.T @ z_y / over, lower=True)
    return -jnp.sum(jnp.linalg.svd(jax.scipy.linalg.solve_triangular(root_y, half.T, lower=True), compute_uv=False))
