"""Table 1: light heads on frozen features of two instruments, beside the published numbers."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_figs.frozen_features import STAR_TARGETS, Pair, pairs_in
from paper_figs.presets import Preset
from paper_figs.published_heads import OBJECTIVES, REGIMES, SPREAD, TABLE_1
from paper_figs.recipe import Recipe
from phasejax._core.digits import significant
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.deep import TrainedHeads, train_heads
from phasejax.diagnosis import compare_heads
from phasejax.io import PairedFeatures
from phasejax.plotting import OBJECTIVE_COLOURS, new_figure, panels_above_legend


class Protocol(NamedTuple):
    """How heads are trained: sizes, and the most rows of each part (0 for all)."""

    seeds: int
    epochs: int
    widths: tuple[int, ...]
    bottleneck: int
    rows: int
    diagnosis: bool


# The published heads are MLPs d -> 512 -> 256 of 5 seeds, at most 200 epochs with a patience of 30.
PROTOCOLS = {"quick": Protocol(2, 40, (128,), 32, 1500, False), "laptop": Protocol(5, 200, (256,), 64, 6000, True),
             "paper": Protocol(5, 200, (512,), 256, 0, True)}
_NUMBERS = ("value", "low", "high", "spread", "chance", "published", "published_spread")
_GREY = "0.35"


def compute(preset: Preset, *, store: Path, progress: ProgressCallback, folder: Path | None = None) -> xr.Dataset:
    """The main score of each objective, target and pair, and of the features themselves."""
    pairs, protocol = {pair.name: pair for pair in pairs_in(folder)}, PROTOCOLS[preset.experiment]
    features = {name: pair.load() for name, pair in pairs.items()}  # all are read before anything is trained
    for name in REGIMES.keys() & pairs.keys():
        if "logg" not in features[name].targets:
            raise ValueError(f"{pairs[name].path}: expected values of logg in some row, got none")

    def work(name: str) -> dict[str, np.ndarray]:
        def tell(task: str, done: int, total: int) -> None:
            progress(f"{name}, {task}", done, total)

        return _scored(pairs[name], features[name], protocol, tell)

    parts = compute_parts([(name,) for name in pairs], work, store=store, progress=progress, precision=None, workers=1,
                          task="pairs", settings=lambda name: f"{protocol}; {pairs[name].state}")
    texts = ("pair", "target", "objective", "metric", "nuisance", "columns", "test_rows")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in (*texts, *_NUMBERS)}
    return xr.Dataset({name: ("score", values) for name, values in joined.items()},
                      attrs={"seeds": protocol.seeds, "epochs": protocol.epochs, "widths": list(protocol.widths),
                             "bottleneck": protocol.bottleneck, "rows_of_a_part": protocol.rows or "all",
                             "foretold": "\n".join(str(part["foretold"]) for part in parts if str(part["foretold"])),
                             "read": "\n".join(str(part["read"]) for part in parts)})


def _scored(pair: Pair, whole: PairedFeatures, protocol: Protocol, progress: ProgressCallback
            ) -> dict[str, np.ndarray]:
    features = _few(whole, protocol.rows)
    wanted = STAR_TARGETS if pair.name in REGIMES else dict.fromkeys(features.targets)
    targets = {name: features.targets[name] for name in wanted if name in features.targets}
    # A diagnosis at the width of the encoders needs fewer than either view has columns.
    bottleneck = max(1, min(protocol.bottleneck, features.x.shape[1] - 1, features.y.shape[1] - 1))
    alone = len(np.unique(features.groups)) == len(features.x)
    kinds = {name: kind for name, kind in features.label_kind.items() if name in targets or name in features.nuisance}
    found = train_heads(
        features.x, features.y, targets, groups=None if alone else features.groups, nuisance=features.nuisance or None,
        split=features.split, label_kind=kinds, objectives=tuple(OBJECTIVES.values()), bottleneck=bottleneck,
        widths=protocol.widths, epochs=protocol.epochs, seeds=protocol.seeds, by_position=True, progress=progress)
    if protocol.diagnosis:
        found = compare_heads(found, progress=progress)
    return _as_arrays(pair, whole, found)


def _few(features: PairedFeatures, most: int) -> PairedFeatures:
    """At most so many rows of each part, at random."""
    rng = np.random.default_rng(0)
    parts = [features.rows(part) for part in ("train", "validation", "test")]
    if not most or max(map(len, parts)) <= most:
        return features
    return features.take(np.sort(np.concatenate([rng.permutation(rows)[:most] for rows in parts])))


def _as_arrays(pair: Pair, features: PairedFeatures, found: TrainedHeads) -> dict[str, np.ndarray]:
    names = {theirs: ours for ours, theirs in OBJECTIVES.items()} | {
        "x": features.names[0], "y": features.names[1], "x and y": " and ".join(features.names)}
    places = {name: place for place, name in enumerate((*OBJECTIVES.values(), "x", "y"))}
    lines: list[dict[str, Any]] = []
    for one in found.scores:
        if not one.main or one.objective not in names:
            continue
        place, key = places.get(one.objective), (pair.name, one.target)
        rows = found.data.rows("test")
        known = next(target.known for target in found.data.targets if target.name == one.target)
        lines.append({
            "pair": pair.name, "target": one.target, "objective": names[one.objective], "metric": one.metric,
            "nuisance": one.nuisance, "columns": one.columns, "test_rows": int(known[rows].sum()), "value": one.value,
            "low": one.low, "high": one.high, "chance": one.chance,
            "spread": np.std(one.by_seed, ddof=1) if len(one.by_seed) > 1 else np.nan,
            "published": TABLE_1[key][place] if key in TABLE_1 and place is not None else np.nan,
            "published_spread": SPREAD[key][place] if key in SPREAD and place is not None and place < 3 else np.nan})
    foretold = [f"{pair.title}, {one.target}: " + (
        f"the diagnosis would train {one.predicted}{'' if one.decided else ' (undecided)'}; measured best: "
        f"{one.measured}" if one.predicted is not None else f"no prediction ({one.reason})")
        for one in found.predictions]
    about = [f"{pair.title}: " + ", ".join(f"{count} rows to {verb}" for count, verb in zip(
        found.rows.values(), ("train", "validate", "test"), strict=True)), *features.notes, *found.warnings]
    return {name: np.array([line[name] for line in lines]) for name in lines[0]} | {
        "foretold": np.array("\n".join(foretold)), "read": np.array("; ".join(about))}


def tabulate(data: xr.Dataset) -> pd.DataFrame:
    """One score in each row."""
    return data.to_dataframe().set_index(["pair", "target", "objective"])


def in_markdown(data: xr.Dataset) -> str:
    """The table as K26 prints it, published numbers in brackets, what was read, and what the diagnosis foretold."""
    frame, lines = data.to_dataframe(), []
    for name, of_pair in frame.groupby("pair", sort=False):
        pair = Pair(str(name))
        columns = list(dict.fromkeys(of_pair["objective"]))
        regime = f": {REGIMES[pair.name]} in Table 1 of K26" if pair.name in REGIMES else ""
        lines += [f"## {pair.title}{regime}", "", f"| target | {' | '.join(columns)} | chance |",
                  "| --- |" + " --- |" * (len(columns) + 1)]
        for target, of_target in of_pair.groupby("target", sort=False):
            by_name = of_target.set_index("objective")
            first = of_target.iloc[0]
            what = STAR_TARGETS.get(str(target), str(target)) + (" (leakage)" if first["nuisance"] else "")
            cells = [_cell(by_name.loc[one]) if one in by_name.index else "" for one in columns]
            lines.append(f"| {what}, {first['metric']}, {first['test_rows']} test rows | {' | '.join(cells)} | "
                         f"{significant(first['chance'], 2)} |")
        lines.append("")
    lines += ["± is the standard deviation over seeds, [ ] what K26 prints. Intervals over stars or donors, and seeds, "
              "are in the .csv file.", ""]
    lines += [f"- {line}" for line in [*data.attrs["read"].splitlines(), *data.attrs["foretold"].splitlines()]]
    return "\n".join(lines) + "\n"


def _cell(one: pd.Series) -> str:
    def with_spread(value, spread):
        return f"{value:.3f}" + (f" ± {spread:.3f}" if np.isfinite(spread) else "")

    own = with_spread(one["value"], one["spread"]) if np.isfinite(one["value"]) else "diverged"
    printed = f" [{with_spread(one['published'], one['published_spread'])}]" if np.isfinite(one["published"]) else ""
    return own + printed


def draw(data: xr.Dataset) -> Figure:
    """A row of panels for each pair, a panel for each target: measured scores with intervals, published ones beside."""
    frame = data.to_dataframe()
    of_pairs = [(Pair(str(name)), frame[frame["pair"] == name]) for name in dict.fromkeys(frame["pair"])]
    across = max(part["target"].nunique() for _, part in of_pairs)
    figure = new_figure("page" if across > 1 else "text", height=0.35 + 1.75 * len(of_pairs))
    rows = panels_above_legend(figure).subfigures(len(of_pairs), 1, squeeze=False)[:, 0]
    for part, (pair, scores) in zip(rows, of_pairs, strict=True):
        regime = f" ({REGIMES[pair.name]} in K26)" if pair.name in REGIMES else ""
        part.suptitle(f"{pair.title}{regime}")
        names = list(dict.fromkeys(scores["objective"]))
        panels = part.subplots(1, across, sharey=True, squeeze=False)[0]
        targets = list(dict.fromkeys(scores["target"]))
        for ax, target in zip(panels, targets, strict=False):
            _draw_panel(ax, target, scores[scores["target"] == target], names)
        for ax in panels[len(targets):]:
            ax.set_visible(False)
    marks = [Line2D([], [], marker="o", color=_GREY, linestyle="-", markersize=4, label="measured, 90 % interval"),
             Line2D([], [], color=_GREY, linestyle=":", label="chance")]
    if np.isfinite(frame["published"]).any():
        marks.insert(1, Line2D([], [], marker="D", color=_GREY, markerfacecolor="none", linestyle="none", markersize=4,
                               label="published"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def _draw_panel(ax, target, scores, names):
    first = scores.iloc[0]
    for _, one in scores.iterrows():
        place = names.index(one["objective"])
        colour = OBJECTIVE_COLOURS.get(one["objective"].split(" ")[0], _GREY)
        error = [[max(one["value"] - one["low"], 0)], [max(one["high"] - one["value"], 0)]]
        ax.errorbar([one["value"]], [place], xerr=error if np.isfinite(error).all() else None, fmt="o", color=colour,
                    markersize=4)
        if np.isfinite(one["published"]):
            ax.plot([one["published"]], [place + 0.28], "D", color=colour, markerfacecolor="none", markersize=4)
    ax.axvline(first["chance"], color=_GREY, linestyle=":")
    ax.set_title(STAR_TARGETS.get(target, target.replace("_", " ")) + (" (leakage)" if first["nuisance"] else ""))
    ax.set_xlabel({"R2": "$R^2$"}.get(first["metric"], first["metric"]))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


FIGURES = {
    "table1": Recipe(
        "heads on frozen features: LAMOST with Kepler or TESS, RNA with proteins",
        "Scores of probes on test rows for alignment (CA, VICReg), prediction of the second view from the first (CP) "
        "and of the first from the second (CP rev), trained as light heads on frozen features, and for the features of "
        "either view and of both: balanced accuracy of classes, R^2 of real values. Circles: measured, with 90 % "
        "intervals over stars, donors or cells, and {of_seeds}; diamonds: Table 1 of K26; dotted: chance. Other than "
        "in K26 the best networks of a training are restored, and test rows choose nothing. CA has twice the columns "
        "of CP; an encoder has fewer outputs than either view has columns. Without --data: blood cells "
        "and brown dwarfs that come with the package.",
        compute, draw, tabulate=tabulate, in_markdown=in_markdown, check_data=pairs_in,
        resumable=True),
}
