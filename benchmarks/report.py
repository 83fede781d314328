"""What every benchmark has in common: how it is declared, its rows as a table and as JSON, the memory of a process."""

import json
import re
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsFloat, TypedDict

from phasejax._core.atomic_files import written_whole


class Row(TypedDict):
    """One measurement."""

    case: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of the command.

    Args:
        title: what it measures, in a few words.
        run: measures; called as `run()`, or, if the benchmark is resumable, as `run(store=folder, progress=callback)`.
        resumable: whether it takes so long that what is done is kept in a folder, from which a run that was killed
            goes on.
        only_when_named: whether it is left out when no benchmark is named.
    """

    title: str
    run: Callable[..., list[Row]]
    resumable: bool = False
    only_when_named: bool = False


def row(case: str, metric: str, value: SupportsFloat, unit: str) -> Row:
    """One measurement.

    Args:
        case: what was measured: the program and the size of its input.
        metric: which property of it.
        value: a number, in `unit`.
        unit: such as "s" or "GB"; "1" for a plain number.
    """
    return Row(case=case, metric=metric, value=float(value), unit=unit)


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    try:  # on Linux getrusage would include the process that started this one
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is not None:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_table(title: str, rows: list[Row]) -> None:
    """Print the rows as a table on standard output."""
    from rich.console import Console  # not above, since processes that only measure their memory need no tables
    from rich.table import Table

    table = Table("case", "metric", "value", "unit", title=title)
    for entry in rows:
        table.add_row(entry["case"], entry["metric"], f"{entry['value']:.4g}", entry["unit"])
    Console(width=110).print(table)


def write_json(path: Path, rows: list[Row]) -> None:
    """Write the rows to a file, all or nothing."""
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
