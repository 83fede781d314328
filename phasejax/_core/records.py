"""Results that are saved as JSON and read back, field by field, by what their annotations say.

A class that derives from `Record` names its kind and version once. What it computes from its fields may be saved beside
them (`_derived`), for readers elsewhere; reading back, it is computed again.
"""

import enum
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from phasejax._core.checked_call import checked
from phasejax._core.overview import Shown
from phasejax._core.serialise import from_text, lines_of_lists, plain, restored, schema

if TYPE_CHECKING:
    import pandas as pd

AnyRecord = TypeVar("AnyRecord", bound="Record")


class Record(Shown):
    """A dataclass whose instances are saved (`to_dict`, `to_json`) and read back (`from_dict`, `from_json`)."""

    _kind: ClassVar[str]
    _version: ClassVar[int] = 1

    # Fields that are too large for text, and are None once a result was read back.
    _unsaved: ClassVar[tuple[str, ...]] = ()

    def _derived(self) -> dict[str, Any]:
        """What is saved besides the fields, or in the place of one, as plain Python objects or arrays."""
        return {}

    @classmethod
    def _fields_of(cls, saved: dict[str, Any]) -> dict[str, Any]:
        """The fields in what was saved, where `_derived` took the place of one."""
        return saved

    def to_frame(self) -> "pd.DataFrame":
        """One row with every number and text among the fields; those of nested fields have names such as `content_ca`.
        """
        import pandas as pd

        return pd.DataFrame([dict(_cells(asdict(cast(Any, self))))])

    def to_dict(self) -> dict[str, Any]:
        """All fields, and what follows from them, as plain Python objects; infinity and NaN become texts."""
        from phasejax._version import __version__

        record, derived = cast(Any, self), self._derived()
        if self._unsaved:
            record = replace(record, **dict.fromkeys(self._unsaved))
        found = {name: value for name, value in asdict(record).items() if name not in self._unsaved}
        return plain({**schema(self._kind, self._version), "phasejax_version": __version__, **derived, **found,
                      **derived})

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return lines_of_lists(json.dumps(self.to_dict(), indent=2, allow_nan=False)) + "\n"

    @classmethod
    def from_dict(cls: type[AnyRecord], saved: dict[str, Any]) -> AnyRecord:
        """The result that `to_dict` wrote, equal in every field.

        Raises:
            ValueError: a result of another kind or version, or not all of one, in one line.
        """
        check_schema(saved, cls._kind, cls._version)
        return restored(cls, cls._fields_of(saved))

    @classmethod
    @checked
    def from_json(cls: type[AnyRecord], text: str) -> AnyRecord:
        """The result that `to_json` wrote.

        Raises:
            ValueError: text that is no JSON, or what `from_dict` refuses, in one line.
        """
        return cls.from_dict(from_text(text))


def _cells(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and texts of nested dictionaries by the path of names that leads to them."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{before}{name}_")
        elif isinstance(value, tuple) and all(isinstance(one, str) for one in value):
            yield f"{before}{name}", ", ".join(value)
        elif value is None or isinstance(value, str | int | float | enum.Enum):
            yield f"{before}{name}", value.value if isinstance(value, enum.Enum) else value


def check_schema(saved: Any, kind: str, version: int) -> None:
    """Raise ValueError, in one line, unless an object says that it is of this kind and version."""
    expected = f"a result of kind {kind}, version {version}"
    if not isinstance(saved, dict):
        raise ValueError(f"saved: expected {expected}, got {type(saved).__name__}")
    said = saved.get("schema")
    if not isinstance(said, dict) or "name" not in said or "version" not in said:
        raise ValueError(f"saved: expected {expected}, got an object without the entry schema")
    if said["name"] != kind or said["version"] != version or isinstance(said["version"], bool):
        by = saved.get("phasejax_version")
        written = f", written by phasejax {str(by)[:30]}" if isinstance(by, str) else ""
        raise ValueError(f"saved: expected {expected}, got {str(said['name'])[:60]}, version "
                         f"{str(said['version'])[:20]}{written}")

