"""CITE-seq experiments drawn at random for `benchmarks.instruments`."""

import numpy as np

from phasejax.instruments import CiteSeq

# Each parameter is drawn from a uniform distribution of its logarithm within these ends.
RANGES = {"rna_depth": (300, 20000), "adt_depth": (200, 20000), "efficiency_spread": (0.05, 0.5),
          "rna_overdispersion": (0.1, 1.5), "adt_overdispersion": (0.03, 0.5), "rna_ambient": (0.01, 0.4),
          "adt_ambient": (0.01, 0.4), "foreground": (3, 60), "rna_programs": (0.1, 1.0), "adt_programs": (1.0, 8.0),
          "program_spread": (0.1, 0.6), "rna_donor": (0.05, 0.8), "adt_donor": (0.05, 1.5), "donor_common": (0.2, 1.0),
          "donor_imbalance": (0.05, 0.8), "rna_batch": (0.03, 0.5), "adt_batch": (0.03, 0.8), "rna_cycle": (0.05, 0.8),
          "adt_cycle": (0.05, 1.5), "cycle_common": (0.2, 1.0)}
PANELS = 3


def draw_cite(rng: np.random.Generator, number: int) -> tuple[CiteSeq, str, int]:
    """An experiment of one of three panels, its label and a bottleneck of 2, 3 or 5 outputs."""
    values = {name: float(np.exp(rng.uniform(*np.log(ends)))) for name, ends in RANGES.items()}
    return CiteSeq(genes=30, proteins=15, panel=number % PANELS, **values), "cell_type", (2, 3, 5)[number // PANELS % 3]
