r"""The random network that disguises a modality of bits, so that its encoder has more to undo the deeper it is.

.. math::  h_0 = W_0 z + b_0, \quad h_j = W_j \tanh(h_{j-1}) + b_j

The network is injective almost surely, so that a disguised modality tells all that the bits tell.

Source: T25, section 4.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.pytree import pytree
from phasejax._core.validation import KeyLike, check_count, check_key
from phasejax.information._shared_unique_bits import all_bits

# All 2^d inputs are computed, for the mean and the standard deviation of the outputs.
_MOST_INPUTS = 24
_MOST_DEPTH = 10_000


@pytree
class TanhNetwork:
    """A network of linear maps with tanh between them, whose outputs are standardised.

    Args:
        weights: of the maps, shape (depth + 1, d, d).
        biases: of the maps, shape (depth + 1, d).
        mean, deviation: mean and standard deviation of each output over all 2^d inputs, shape (d,).
    """

    weights: Float[Array, "layers d d"]
    biases: Float[Array, "layers d"]
    mean: Float[Array, "d"]
    deviation: Float[Array, "d"]

    def __call__(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The outputs of every row; each has mean 0 and standard deviation 1 over all inputs."""
        return (_unstandardised_outputs(self.weights, self.biases, rows) - self.mean) / self.deviation


@checked
def tanh_network(key: KeyLike, depth: int, d: int = 12) -> TanhNetwork:
    r"""A random network that disguises a modality: a linear map, then `depth` times tanh and a linear map.

    Parameters are uniform on :math:`\pm 1 / \sqrt d`. Outputs are standardised over all 2^d inputs in
    {-1/2, 1/2}^d. T25 does not do so; depth then also shrinks the outputs, each layer by about :math:`\sqrt 3`.

    Args:
        key: random key or a seed of the parameters.
        depth: 0 or more; 0 gives a random linear map.
        d: number of inputs and of outputs.

    Raises:
        ValueError: a negative depth.

    Source: T25, section 4.

    >>> round(float(tanh_network(jax.random.key(0), 3, 4)(jnp.asarray(all_bits(4) - 0.5)).std()), 4)
    1.0
    """
    key = check_key("key", key)
    check_count("depth", depth, 0, _MOST_DEPTH)
    check_count("d", d, 1, _MOST_INPUTS)
    weights, biases = jnp.split(jax.random.uniform(key, (depth + 1, d + 1, d), minval=-1, maxval=1) / jnp.sqrt(d),
                                [d], axis=1)
    outputs = _unstandardised_outputs(weights, biases[:, 0], jnp.asarray(all_bits(d) - 0.5, weights.dtype))
    return TanhNetwork(weights, biases[:, 0], jnp.mean(outputs, 0), jnp.std(outputs, 0))


def _unstandardised_outputs(weights, biases, rows):
    outputs = rows @ weights[0] + biases[0]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        outputs = jnp.tanh(outputs) @ weight + bias
    return outputs
