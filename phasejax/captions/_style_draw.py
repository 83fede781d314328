"""Which styles an image shows and which ones its caption names: pure functions of a key and of the row's number."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from phasejax._core.pytree import pytree
from phasejax.captions._batch import PAD
from phasejax.captions._styles import STYLE_GROUPS, in_styles
from phasejax.captions._vocabulary import FIRST_STRENGTH, FIRST_STYLE, STRENGTH_WORDS

LEAST_STRENGTH = 0.3  # strengths are uniform from here to 1
_SIZES = np.array([len(styles) for styles in STYLE_GROUPS.values()])  # of the groups: 4, 2, 2, 4, 2, 2
_FIRST = np.concatenate([[0], np.cumsum(_SIZES)[:-1]])
_GROUPS = len(_SIZES)


@pytree
class StyleDraw:
    """Styles of some rows, one column for each of the six groups of `STYLE_GROUPS`.

    Args:
        style: number in `STYLES` of the style that the image shows, -1 for none, shape (n, 6).
        strength: of each, from 0.3 to 1, shape (n, 6).
        named, named_strength: what the caption says, shape (n, 6).
        keys: from which grain is drawn, shape (n,).
    """

    style: Int[Array, "n groups"]
    strength: Float[Array, "n groups"]
    named: Int[Array, "n groups"]
    named_strength: Float[Array, "n groups"]
    keys: Key[Array, "n"]


@partial(jax.jit, static_argnames="jitter_to")
def draw_styles(key: Key[Array, ""], index: Int[ArrayLike, "n"], level: Float[ArrayLike, ""],
                jitter: Float[ArrayLike, ""], jitter_to: str) -> StyleDraw:
    """The styles of some rows: max(1, round(6 l)) of the groups, none at level l = 0, and one style of each.

    Styles are uniform in their group, strengths on [0.3, 1].

    Args:
        key: with a row's number it decides the row's styles, whatever other rows are drawn with it.
        index: numbers of the rows, shape (n,).
        level: l, 0 to 1.
        jitter: 0 to 1; how often image and caption disagree.
        jitter_to: "another" or "anew", see `CaptionNuisance`.

    Source: the published code of K26, section 4.3.
    """
    level, jitter = jnp.asarray(level), jnp.asarray(jitter)
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.asarray(index))
    # One draw for all: programs that draw once compile in a fraction of the time.
    uniform = jax.vmap(lambda row: jax.random.uniform(row, (8, _GROUPS)))(keys)
    count = jnp.where(level > 0, jnp.maximum(1, jnp.round(_GROUPS * level)), 0)
    style, strength = _description(uniform[:, :3], count)
    if jitter_to == "another":
        other = (style - _FIRST + 1 + _below(uniform[:, 3], _SIZES - 1)) % _SIZES + _FIRST
        differs, instead = uniform[:, 4] < jitter, (jnp.where(style < 0, -1, other), strength)
    else:
        differs, instead = uniform[:, 4, :1] < jitter, _description(uniform[:, 5:8], count)
    return StyleDraw(style=style, strength=strength, named=jnp.where(differs, instead[0], style),
                     named_strength=jnp.where(differs, instead[1], strength), keys=keys)


def show_styles(images: Float[Array, "n h w 3"], drawn: StyleDraw) -> Float[Array, "n h w 3"]:
    """Images in the styles that were drawn for them, values 0 to 1."""
    arguments = (images, drawn.style, drawn.strength, drawn.keys)
    # One image after the other computes its own styles alone, in a tenth of the time on a processor; accelerators
    # compute all sixteen of every image at once.
    return jax.lax.platform_dependent(
        *arguments, cpu=lambda *rows: jax.lax.map(lambda row: in_styles(*row), rows), default=jax.vmap(in_styles))


def style_tokens(drawn: StyleDraw) -> Int[Array, "n words"]:
    """What captions say of the styles: for each that is named, one of five words for its strength and one for itself.

    Args:
        drawn: styles of some rows.

    Returns:
        Numbers of words in any vocabulary, shape (n, 12), with `PAD` in the places of groups that are not named.
    """
    bins = len(STRENGTH_WORDS)
    share = (drawn.named_strength - LEAST_STRENGTH) / (1 - LEAST_STRENGTH)
    words = jnp.stack([FIRST_STRENGTH + _below(share, bins), FIRST_STYLE + drawn.named], axis=-1)
    return jnp.where(drawn.named[..., None] < 0, PAD, words).reshape(len(words), -1)


def _description(uniform, count):
    """Styles and strengths from three uniform numbers for each group."""
    rank = jnp.argsort(jnp.argsort(uniform[:, 0], axis=1), axis=1)
    style = jnp.where(rank < count, _FIRST + _below(uniform[:, 1], _SIZES), -1)
    return style, LEAST_STRENGTH + (1 - LEAST_STRENGTH) * uniform[:, 2]


def _below(uniform, size):
    """A whole number below a size from a uniform number; a uniform number of 1 - 2^-24 may round to the size."""
    return jnp.minimum((uniform * size).astype(jnp.int32), size - 1)
