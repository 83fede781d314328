"""The figure of a plan as a file."""

from pathlib import Path

from phasejax.plotting import new_figure, paper_style
from phasejax.theory import Plan
from phasejax.theory._plan_figure import draw_plan as draw_on


def draw_plan(found: Plan, path: Path, kind: str) -> None:
    """Draw a plan and save it.

    Args:
        found: the plan.
        path: where to save the figure.
        kind: its format, such as "pdf".
    """
    with paper_style():
        figure = new_figure("text", height=2.8)
        draw_on(found, figure.subplots(), legend=False)
        figure.legend(loc="outside lower center", ncols=2)
        figure.savefig(path, format=kind)
