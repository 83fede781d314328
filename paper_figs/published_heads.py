"""What K26 reports of light heads on frozen features: Table 1, Fig. 12, and the parameters stored with its code."""

from typing import NamedTuple

# Objectives of Table 1 as `phasejax.deep.train_heads` calls them, by their names in the table.
OBJECTIVES = {"CA": "CA VICReg", "CP": "CP x->y", "CP rev": "CP y->x"}
# Table 1, for each pair and target: CA, CP, CP rev (mean over 5 seeds), then LAMOST alone and the light curves alone.
TABLE_1 = {
    ("kepler", "binarity"): (0.802, 0.814, 0.751, 0.814, 0.731),
    ("kepler", "logg"): (0.956, 0.976, 0.639, 0.977, 0.542),
    ("kepler", "age"): (0.620, 0.434, 0.497, 0.431, 0.470),
    ("tess", "binarity"): (0.756, 0.763, 0.626, 0.779, 0.604),
    ("tess", "logg"): (0.929, 0.939, -0.312, 0.942, -0.312),
    ("tess", "age"): (0.431, 0.396, -0.072, 0.503, -0.037)}
# Standard deviations over the seeds of the first three.
SPREAD = {
    ("kepler", "binarity"): (0.009, 0.006, 0.004), ("kepler", "logg"): (0.003, 0.001, 0.004),
    ("kepler", "age"): (0.001, 0.006, 0.039), ("tess", "binarity"): (0.022, 0.011, 0.010),
    ("tess", "logg"): (0.005, 0.001, 0.001), ("tess", "age"): (0.029, 0.064, 0.004)}
# Regimes in the headings of Table 1, and separation ratios above Fig. 12 (none where no component is signal).
REGIMES = {"kepler": "Both", "tess": "Neither"}
RATIOS = {"kepler": (1.13, 2.22), "tess": (None, None)}


class Parameters(NamedTuple):
    """Parameters of the homogeneous spiked model that the published code stores for a pair, and its regime there."""

    kappa: float
    nu: float
    gamma_x: float
    gamma_y: float
    nuisance_y: float
    regime: str


# Variances, but for kappa and nu. With them the theory's ratios are .479 and 9.84 (Kepler), .0687 and .138 (TESS).
PARAMETERS = {"kepler": Parameters(0.196, 0.863, 0.064, 0.046, 0.0002, "CP only"),
              "tess": Parameters(0.090, 0.931, 0.164, 0.085, 0.023, "Neither")}
