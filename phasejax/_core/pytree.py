"""Frozen dataclasses that JAX can trace through."""

import dataclasses
from typing import dataclass_transform

import jax
import numpy as np
from jaxtyping import Array

# What a field of a model may hold: host float64 (exact parameters, kept until a
# computation chooses its precision) or a JAX array or tracer.
HostOrDevice = Array | np.ndarray


@dataclass_transform(frozen_default=True)
def pytree(cls):
    """Make `cls` a frozen dataclass whose fields are all pytree children.

    Rebuilding from leaves skips `__init__`: JAX also rebuilds with placeholders and with
    batched leaves, which the checks in `__post_init__` are not meant for.
    """
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    names = tuple(field.name for field in dataclasses.fields(cls))

    def flatten_with_keys(tree):
        return [(jax.tree_util.GetAttrKey(name), getattr(tree, name)) for name in names], None

    def unflatten(_, leaves):
        tree = object.__new__(cls)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(tree, name, leaf)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls
