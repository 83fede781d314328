"""The layer that the Transformers here are made of (Vaswani et al. 2017), with normalisation before its parts."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float


class TransformerLayer(nnx.Module):
    """Attention among the places of a sequence, then two dense layers at each place; both are added to their input.

    Normalisation comes before either part (pre-norm), which trains without warm-up.

    Args:
        width: width of a place.
        heads: number of attention heads, a divisor of the width.
        hidden: width between the dense layers.
        epsilon: added to variances in the normalisation.
        dtype: precision of the computation; parameters are float32.
        rngs: random numbers for the parameters.
    """

    def __init__(self, width: int, heads: int, *, hidden: int, epsilon: float = 1e-5, dtype: DTypeLike = jnp.float32,
                 rngs: nnx.Rngs):
        self.norm1 = nnx.LayerNorm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, width, dtype=dtype, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.fc1 = nnx.Linear(width, hidden, dtype=dtype, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, width, dtype=dtype, rngs=rngs)

    def __call__(self, places: Float[Array, "n length width"], mask: Bool[Array, "n length"] | None = None
                 ) -> Float[Array, "n length width"]:
        """Transform sequences; places where `mask` is False are not attended to."""
        seen = None if mask is None else mask[:, None, None, :]
        places = places + self.attention(self.norm1(places), mask=seen)
        return places + self.fc2(nnx.gelu(self.fc1(self.norm2(places)), approximate=False))


def check_heads(width: int, heads: int) -> None:
    """Refuse a number of heads that does not divide the width."""
    if heads < 1 or width % heads:
        raise ValueError(f"heads: expected a divisor of the width {width}, got {heads}")
