"""Fingerprints of traced programs: two functions with the same one compute the same numbers.

JAX's trace of a function holds all that decides its results besides its arguments: the operations, their parameters and
the constants, whatever the function and its variables are called. Each value gets a digest of the operation that makes
it and of the digests of what goes in, so that a result's digest depends on nothing but what it is computed from.
"""

import hashlib
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# Parameters that do not change what an operation computes: names, places, and rules of differentiation, which a trace
# has used up.
_NO_PART = frozenset({"name", "in_shardings", "out_shardings", "in_layouts", "out_layouts", "donated_invars", "inline",
                      "keep_unused", "ctx_mesh", "sharding", "jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk",
                      "bwd", "out_trees", "debug_info", "mesh", "device"})
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def program_fingerprints(traced: ClosedJaxpr) -> list[str]:
    """A fingerprint of each result of a traced program, 16 hexadecimal digits.

    Args:
        traced: what `jax.make_jaxpr` returns.

    >>> one = program_fingerprints(jax.make_jaxpr(lambda x: (x + 1.0, 2.0 * x))(0.5))
    >>> two = program_fingerprints(jax.make_jaxpr(lambda y: (y + 1.0, 3.0 * y))(0.5))
    >>> [a == b for a, b in zip(one, two, strict=True)]
    [True, False]
    """
    return [found.hex()[:16] for found in _Programs().results(traced.jaxpr, traced.consts)]


class _Programs:
    """Digests of programs inside one that is digested; each is looked at once, however often it is called."""

    def __init__(self):
        self._known: dict[int, tuple[Jaxpr, bytes]] = {}

    def results(self, jaxpr: Jaxpr, consts: Any) -> list[bytes]:
        """Digests of the results of a program as functions of its arguments."""
        known: dict[Any, bytes] = {var: _digest("argument", str(number), str(var.aval))
                                   for number, var in enumerate(jaxpr.invars)}
        known |= {var: _of_array(value) for var, value in zip(jaxpr.constvars, consts, strict=True)}

        def of(atom):
            return _of_array(atom.val, str(atom.aval)) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            made = _digest(equation.primitive.name, *(
                part for name, value in sorted(equation.params.items()) if name not in _NO_PART
                for part in (name, self._parameter(value))), *map(of, equation.invars))
            known |= {var: _digest(made, str(number)) for number, var in enumerate(equation.outvars)}
        return [of(var) for var in jaxpr.outvars]

    def _program(self, jaxpr: Jaxpr, consts: Any) -> bytes:
        if consts:
            return _digest("program", *self.results(jaxpr, consts))
        if id(jaxpr) not in self._known:
            # Kept with its digest, so that no other program gets its address.
            self._known[id(jaxpr)] = jaxpr, _digest("program", *self.results(jaxpr, consts))
        return self._known[id(jaxpr)][1]

    def _parameter(self, value: Any) -> str | bytes:
        """What tells a parameter of an operation, which may hold programs and functions, from others."""
        if value is None or type(value) in (int, bool, str, float):
            return repr(value)
        if isinstance(value, ClosedJaxpr):
            return self._program(value.jaxpr, value.consts)
        if isinstance(value, Jaxpr):
            return self._program(value, [None] * len(value.constvars))
        if isinstance(value, tuple | list):
            return _digest("sequence", *map(self._parameter, value)) if value else "()"
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return _of_array(value)
        if isinstance(value, Mapping):
            return _digest("mapping", *(part for name in sorted(value, key=str)
                                        for part in (str(name), self._parameter(value[name]))))
        if isinstance(value, set | frozenset):
            return _digest("set", *sorted(_digest(self._parameter(one)) for one in value))
        if hasattr(value, "callback_func"):  # what `jax.pure_callback` keeps of a function
            return _of_function(value.callback_func, ())
        return _of_function(value, ()) if callable(value) else _in_words(value)


def _of_function(function: Callable, seen: tuple[int, ...]) -> bytes:
    """The digest of a Python function: its code, its defaults and what it closes over."""
    function = getattr(function, "__func__", function)
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return _in_words(function)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return _digest("function", _of_code(function.__code__), *(
        _of_function(one, (*seen, id(function))) if callable(one) else _of_value(one) for one in held))


def _of_code(code: types.CodeType) -> bytes:
    constants = [_of_code(one) if isinstance(one, types.CodeType) else _digest("constant", repr(one))
                 for one in code.co_consts]
    return _digest("code", code.co_code, " ".join(code.co_names), *constants)


def _of_value(value: Any) -> bytes:
    return _of_array(value) if isinstance(value, np.ndarray | np.generic | jax.Array) else _in_words(value)


def _in_words(value: Any) -> bytes:
    """The digest of how a value is written, without its address."""
    return _digest("other", _ADDRESS.sub("", repr(value)))


def _of_array(value: Any, aval: str = "") -> bytes:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return _digest("key", str(jax.random.key_impl(value)), np.asarray(jax.random.key_data(value)).tobytes())
    array = np.asarray(value)
    return _digest("array", aval, str(array.dtype), str(array.shape), array.tobytes())


def _digest(*parts: str | bytes) -> bytes:
    data = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.blake2b(b"".join([b"%d:%b" % (len(one), one) for one in data]), digest_size=16).digest()
