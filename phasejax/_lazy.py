"""Public names of a package that are imported when they are first asked for."""

import importlib
from collections.abc import Callable, Mapping


def lazily(package: str, homes: Mapping[str, str | None]) -> tuple[Callable, Callable]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: of each public name the module in the package that has it; None where it is a module itself.
    """
    def find(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{homes[name] or name}")
        return module if homes[name] is None else getattr(module, name)

    return find, lambda: sorted(homes)
