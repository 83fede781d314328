"""Scores of trained encoders of images and captions as a table, and in words."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_number
from phasejax.captions._experiment import CaptionExperiment
from phasejax.deep import seed_interval

NAMES = {"vicreg": "CA (VICReg)", "infonce": "CA (InfoNCE)", "cp": "CP image->text", "cp_reverse": "CP text->image",
         "joint": "joint", "supervised": "supervised"}
_ENDS = ("", "_low", "_high")


@checked
@dataclass(frozen=True, eq=False)
class CaptionScores:
    """What probes and retrieval found in a grid of trainings, over seeds.

    Args:
        scores: what `evaluate_captions` returned.
        confidence: level of the intervals, by Student's t over the seeds.

    Raises:
        ValueError: a dataset without these scores.
    """

    scores: xr.Dataset
    confidence: float = 0.95

    def __post_init__(self):
        if not {"top1", "chance", "recall", "recall_chance"} <= set(self.scores.data_vars):
            raise ValueError("scores: expected what evaluate_captions returns, got a dataset with "
                             f"{', '.join(map(str, self.scores.data_vars)) or 'nothing'}")
        check_number("confidence", self.confidence, above=0, below=1)

    @property
    def experiment(self) -> CaptionExperiment:
        """What was trained."""
        return CaptionExperiment.from_json(self.scores.attrs["experiment"])

    def to_frame(self) -> pd.DataFrame:
        """A row for each objective, jitter and noise: means over seeds, and the ends of their intervals.

        Columns are `groups`, the number of groups of distortions; `top1` with `top1_low` and `top1_high`; `chance`;
        `recall_image_to_text_1` (at 5, at 10, and text to image) with the ends; `chance_image_to_text_1`, ...; and
        `diverged`, the number of seeds whose training diverged. Seeds are left out of a mean where they diverged.
        """
        s, rows = self.scores, []
        groups = dict(zip(self.experiment.noises, self.experiment.groups, strict=True))
        for objective in s.objective.values:
            for jitter in s.jitter.values:
                for noise in s.noise.values:
                    cell = s.sel(objective=objective, jitter=jitter, noise=noise)
                    row = {"objective": str(objective), "jitter": float(jitter), "noise": float(noise),
                           "groups": groups[float(noise)], **self._interval("top1", cell.top1.values),
                           "chance": float(cell.chance.mean())}
                    for direction in s.direction.values:
                        for k in s.k.values:
                            name, at = f"{str(direction).replace(' ', '_')}_{k}", {"direction": direction, "k": k}
                            row |= self._interval(f"recall_{name}", cell.recall.sel(at).values)
                            row[f"chance_{name}"] = float(cell.recall_chance.sel(at).mean())
                    rows.append(row | {"diverged": int(cell.diverged.sum())})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """All of `to_frame` and the experiment, as plain Python objects; None stands for what is not known."""
        table = self.to_frame().astype(object)
        return {"experiment": json.loads(self.scores.attrs["experiment"]), "confidence": self.confidence,
                "computed_on": json.loads(self.scores.attrs["computed_on"]),
                "scores": table.where(table.notna(), None).to_dict("records")}

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def summary(self) -> str:
        """The scores as a table to read, and what they are beside guessing."""
        e, table = self.experiment, self.to_frame()
        several = e.seeds > 1
        lines = [f"{e.data}, {e.size} pixels, nuisance by {e.mode}, {e.seeds} seed{'s' if several else ''}"
                 + (f", {self.confidence:.0%} intervals over seeds" if several else ""),
                 f"{'objective':16}{'groups':>7}{'jitter':>8}  {'top-1':24}{'recall@1/5/10 of texts':26}of images"]
        for row in table.to_dict("records"):
            lines.append(f"{NAMES[row['objective']]:16}{row['groups']:>7}{row['jitter']:>8g}  "
                         f"{_in_words(row, 'top1'):24}{_recall(row, 'image_to_text'):26}{_recall(row, 'text_to_image')}"
                         + (f"  {row['diverged']} diverged" if row["diverged"] else ""))
        first = table.to_dict("records")[0]
        lines.append(f"{'guessing':31}  {first['chance']:<24.3f}{_chance(first, 'image_to_text'):26}"
                     f"{_chance(first, 'text_to_image')}")
        return "\n".join(lines)

    def _interval(self, name: str, values: np.ndarray) -> dict[str, float]:
        found = seed_interval(np.asarray(values, float), 0, self.confidence)
        return {f"{name}{end}": float(value) for end, value in zip(_ENDS, found, strict=True)}


def _in_words(row, name):
    if not np.isfinite(row[f"{name}_low"]):
        return f"{row[name]:.3f}"
    return f"{row[name]:.3f} ({max(row[f'{name}_low'], 0):.3f} to {min(row[f'{name}_high'], 1):.3f})"


def _recall(row, direction):
    values = [row[f"recall_{direction}_{k}"] for k in (1, 5, 10)]
    return " ".join(f"{value:.3f}" for value in values) if np.isfinite(values).all() else "-"


def _chance(row, direction):
    return " ".join(f"{row[f'chance_{direction}_{k}']:.3f}" for k in (1, 5, 10))
