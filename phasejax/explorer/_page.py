"""The explorer as one HTML page: the template filled with the closed forms in JavaScript, the view and a diagnosis."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from phasejax._core.atomic_files import written_whole
from phasejax._core.checked_call import checked
from phasejax._version import __version__
from phasejax.plotting import REGIME_COLOURS
from phasejax.theory import Regime

_WHAT = {Regime.NEITHER: "no objective recovers all signals", Regime.CA_ONLY: "alignment does",
         Regime.CP_ONLY: "predicting y from x does", Regime.BOTH: "both do"}


@checked
def write_explorer(path: str | Path, diagnosis: Mapping[str, Any] | None = None, *, name: str = "your data") -> None:
    """Write the phase diagram as a page to play with, in one HTML file that loads nothing.

    The page draws the regimes over signal strength and nuisance correlation from the closed forms (K26, Lemma A.3) and,
    for a number of rows, from `phasejax.theory.finite_sample`. A diagnosis, given here or dropped on the page, appears
    where the spiked model that describes it lies, with its intervals.

    Args:
        path: the file, which is replaced only when the new one is complete.
        diagnosis: a saved one, as `Diagnosis.to_dict` or `phasejax diagnose --json` writes it.
        name: what the page calls it.

    Raises:
        OSError: the file cannot be written; one line that names it.
        ValueError: a diagnosis that is no saved one.
    """
    page = explorer_page(diagnosis, name)
    with written_whole(Path(path)) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def explorer_page(diagnosis: Mapping[str, Any] | None, name: str) -> str:
    """The page that `write_explorer` writes."""
    embedded = None if diagnosis is None else {"name": name, "diagnosis": _without_draws(diagnosis)}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_part("page.html.jinja"))
    # The text of a script ends at the first "</"; in JSON a "<" may be written as an escape.
    result = Markup(json.dumps(embedded, ensure_ascii=True).replace("<", "\\u003c"))
    return template.render(
        version=__version__, style=Markup(_part("page.css")), result=result,
        **{name: Markup(_part(f"{name}.js")) for name in ("theory", "diagram", "view")},
        regimes=[(one.value, REGIME_COLOURS[one], _WHAT[one]) for one in Regime])


def _without_draws(saved: Any) -> dict[str, Any]:
    """What the page shows of a diagnosis: draws and scores are most of its size."""
    kept = ("schema", "method", "verdict", "regime", "unlimited_regime", "seen", "n", "d_x", "d_y", "k", "estimates",
            "fit")
    schema = saved.get("schema") if isinstance(saved, Mapping) else None
    if not isinstance(schema, Mapping) or schema.get("name") != "phasejax.diagnosis" or schema.get("version") != 1:
        got = f"{schema.get('name')} {schema.get('version')}" if isinstance(schema, Mapping) else "something else"
        raise ValueError(f"diagnosis: expected a result of phasejax diagnose --json (phasejax.diagnosis 1), got {got}")
    found = {name: saved[name] for name in kept if name in saved}
    if isinstance(found.get("fit"), Mapping):
        found["fit"] = {name: found["fit"][name] for name in kept if name in found["fit"] and name != "fit"}
    return found


def _part(name: str) -> str:
    return (resources.files("phasejax.explorer") / name).read_text("utf-8")
