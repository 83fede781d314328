"""A Transformer of image patches (Dosovitskiy et al. 2021)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count
from phasejax.captions._transformer import TransformerLayer, check_heads

_NORMAL = nnx.initializers.truncated_normal(0.02)


class VisionTransformer(nnx.Module):
    """Patches of an image and one more place, a learned one, through layers of attention; that place is the result.

    Args:
        size: side of the images in pixels, a multiple of `patch`.
        patch: side of a patch in pixels.
        width: width of a place.
        depth: number of layers.
        heads: number of attention heads, a divisor of the width.
        outputs: width of the embedding; when left out, the result are the `width` features before it.
        dtype: precision of the computation, float32 or bfloat16; parameters and results are float32.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: a size that is no multiple of the patch, heads that do not divide the width.

    Source: Dosovitskiy et al. 2021; the defaults are ViT-S/16 of Touvron et al. 2021, with 21,665,664 parameters
    without `outputs`.

    >>> shapes = nnx.eval_shape(lambda: VisionTransformer(size=64, patch=8, rngs=nnx.Rngs(0)))  # nothing is computed
    >>> shapes.positions.shape
    (65, 384)
    """

    def __init__(self, *, size: int = 224, patch: int = 16, width: int = 384, depth: int = 12, heads: int = 6,
                 outputs: int | None = None, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        for name, value in (("patch", patch), ("width", width), ("depth", depth)):
            check_count(name, value)
        if size < patch or size % patch:
            raise ValueError(f"size: expected a multiple of the patch {patch}, got {size}")
        check_heads(width, heads)
        self.size, self.patch, self.dtype = size, patch, dtype
        places = (size // patch) ** 2 + 1
        self.patches = nnx.Linear(3 * patch**2, width, dtype=dtype, rngs=rngs)
        self.class_place = nnx.Param(_NORMAL(rngs.params(), (width,), jnp.float32))
        self.positions = nnx.Param(_NORMAL(rngs.params(), (places, width), jnp.float32))
        self.layers = nnx.List([TransformerLayer(width, heads, hidden=4 * width, epsilon=1e-6, dtype=dtype, rngs=rngs)
                                for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)
        self.head = nnx.data(None) if outputs is None else nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, images: Float[HostOrDevice, "n size size 3"], *, train: bool = False
                 ) -> Float[Array, "n outputs"]:
        """Embed images; training makes no difference, since nothing is normalised over a batch."""
        del train
        n, sides = images.shape[0], self.size // self.patch
        split = jnp.asarray(images).reshape(n, sides, self.patch, sides, self.patch, 3)
        cut = split.transpose(0, 1, 3, 2, 4, 5).reshape(n, sides**2, -1)
        first = jnp.broadcast_to(self.class_place[...], (n, 1, self.class_place.shape[0])).astype(self.dtype)
        places = jnp.concatenate([first, self.patches(cut)], axis=1) + self.positions[...].astype(self.dtype)
        for layer in self.layers:
            places = layer(places)
        features = self.norm(places[:, 0])
        return features if self.head is None else self.head(features)
