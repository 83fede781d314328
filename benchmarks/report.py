"""Tables on standard output, rows as JSON; the memory of a process."""

import json
import re
import resource
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from phasejax._core.atomic_files import written_whole

Row = dict[str, str | float]


def row(case: str, metric: str, value: float, unit: str) -> Row:
    return {"case": case, "metric": metric, "value": float(value), "unit": unit}


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    try:  # what getrusage says includes, on Linux, the process that started this one
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_table(title: str, rows: list[Row]) -> None:
    table = Table("case", "metric", "value", "unit", title=title)
    for entry in rows:
        table.add_row(entry["case"], entry["metric"], f"{entry['value']:.4g}", entry["unit"])
    Console(width=110).print(table)


def write_json(path: Path, rows: list[Row]) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
