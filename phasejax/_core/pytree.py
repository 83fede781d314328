"""Frozen dataclasses that JAX can trace through, for the models and results of the theory.

`jax.tree_util.register_dataclass` does nearly the same, but rebuilds objects through `__init__`, whose checks of
user input the placeholders and batched leaves of JAX would not pass.
"""

import dataclasses
from typing import dataclass_transform

import jax
import numpy as np
from jaxtyping import Array

# What a field of a model may hold: NumPy's float64 on the host (exact parameters, kept until a
# computation chooses its precision), or a JAX array or tracer.
HostOrDevice = Array | np.ndarray


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def pytree(cls):
    """Make a class a frozen dataclass and a pytree whose children are its fields.

    A field with `metadata={"static": True}`, such as a number of columns, is no child: it belongs to the structure of
    the tree, must be hashable, and is a constant of compiled programs.

    Instances are compared by identity, since arrays have no single truth value. Rebuilding one from leaves skips
    `__init__` and `__post_init__`.

    >>> @pytree
    ... class Point:
    ...     x: HostOrDevice
    ...     y: HostOrDevice
    >>> jax.tree.map(lambda leaf: leaf + 1, Point(x=1.0, y=2.0))
    Point(x=2.0, y=3.0)
    """
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    fields = dataclasses.fields(cls)
    names = tuple(field.name for field in fields if not field.metadata.get("static"))
    fixed = tuple(field.name for field in fields if field.metadata.get("static"))

    def flatten_with_keys(tree):
        return ([(jax.tree_util.GetAttrKey(name), getattr(tree, name)) for name in names],
                tuple(getattr(tree, name) for name in fixed))

    def unflatten(constants, leaves):
        tree = object.__new__(cls)
        for name, value in (*zip(names, leaves, strict=True), *zip(fixed, constants, strict=True)):
            object.__setattr__(tree, name, value)
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls
