"""The directive `{measurements}`: what `python -m benchmarks NAME --json docs/benchmarks/NAME.json` wrote."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks.__main__ import BENCHMARKS

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def read_measurements(name: str) -> tuple[str, list[str], list[dict[str, Any]]] | None:
    """(where and when, names of the benchmarks, rows) of a file; None where there is none."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    saved = json.loads(path.read_text(encoding="utf-8"))
    on = saved["measured"]
    where = f"{on['date']} with {on['machine']}, Python {on['python']}, JAX {on['jax']}, phasejax {on['phasejax']}"
    return where, saved["benchmarks"], saved["rows"]


def number(value: float) -> str:
    """Four digits."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def in_unit(unit: str) -> str:
    """A unit behind a number; nothing behind a plain number."""
    return "" if unit == "1" else f" {unit}"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as a table in Markdown: a column for each metric where every case has them all, else a row for each."""
    cases, metrics = (list(dict.fromkeys(row[key] for row in rows)) for key in ("case", "metric"))
    values = {(row["case"], row["metric"]): number(row["value"]) + in_unit(row["unit"]) for row in rows}
    if 1 < len(metrics) <= 6 and len(values) == len(rows) == len(cases) * len(metrics):
        head = ["case", *(metric.replace("_", " ") for metric in metrics)]
        body = [[case, *(values[case, metric] for metric in metrics)] for case in cases]
    else:
        head = ["case", "metric", "value"]
        body = [[row["case"], row["metric"].replace("_", " "), number(row["value"]) + in_unit(row["unit"])]
                for row in rows]
    align = ["---"] * (len(head) - len(body[0][1:])) + ["---:" if cell[:1].isdigit() or cell[:1] == "-" else "---"
                                                     for cell in body[0][1:]]
    return ["| " + " | ".join(cells) + " |" for cells in (head, align, *body)]


class Measurements(SphinxDirective):
    """A table for each file in docs/benchmarks, in the order of the command's own list."""

    def run(self) -> list[nodes.Node]:
        """Write the page and parse it."""
        order = list(BENCHMARKS)
        found = {path.stem: read_measurements(path.stem) for path in FOLDER.glob("*.json")}
        lines = []
        for name, (where, names, rows) in sorted(found.items(), key=lambda item: order.index(item[1][1][0])):
            title = "; ".join(BENCHMARKS[one].title for one in names)
            lines += [f"## {name}", "", f"{title[0].upper()}{title[1:]}. Measured on {where}.", "",
                      "```sh", f"python -m benchmarks {' '.join(names)} --json docs/benchmarks/{name}.json", "```", "",
                      *table(rows)]
            lines.append("")
            self.env.note_dependency(str(FOLDER / f"{name}.json"))
        without = [name for name in order if not any(name in names for _, names, _ in found.values())]
        lines += ["## Others", "", "These have no measurement here yet; each prints its table when it is run:", ""]
        lines += [f"- `python -m benchmarks {name}`: {BENCHMARKS[name].title}." for name in without]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_directive("measurements", Measurements)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
