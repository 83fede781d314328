"""CITE-seq experiments in each of the four regimes, and one like the blood cells that ship with the package."""

from phasejax.instruments._cite_seq import CiteSeq

# Every one differs from the first in a few numbers only, which say what makes the regime:
# - ca_only: staining and the cell cycle move the proteins strongly, but RNA shows half of that at most. Alignment ranks
#   by correlation and leaves it behind; prediction ranks by the variance it explains.
# - cp_only: RNA carries little of the programs, so that what the views share of them is noisy but, of on and off
#   proteins, large. Donor, batch and cell cycle are small in the proteins and reliably the same in both views.
# - neither: the same three are large as well, and proteins follow the programs loosely.
# - pbmc: counts, variances, zeros, shares of types and batches and canonical correlations like those of the 6 types
#   with at least 40 of the cells of `phasejax.datasets.load_pbmc_cite`, in the 60 genes with most counts but for MALAT1
#   and the 30 proteins that vary most; found by matching them. `python -m benchmarks cite_cells` shows the agreement.
CITE_PRESETS: dict[str, CiteSeq] = {
    "both": CiteSeq(),
    "ca_only": CiteSeq(rna_donor=0.4, adt_donor=1.5, donor_common=0.5, rna_cycle=0.4, adt_cycle=1.5, cycle_common=0.5),
    "cp_only": CiteSeq(rna_programs=0.15, rna_donor=0.5, adt_donor=0.25, donor_common=1.0, rna_batch=0.5,
                       adt_batch=0.25, rna_cycle=0.5, adt_cycle=0.25, cycle_common=1.0),
    "neither": CiteSeq(adt_programs=1.5, rna_donor=0.5, adt_donor=0.7, donor_common=1.0, rna_cycle=0.5, adt_cycle=0.7,
                       cycle_common=1.0),
    "pbmc": CiteSeq(rna_depth=172.0, adt_depth=2010.0, efficiency_spread=0.003, rna_depth_spread=0.26,
                    adt_depth_spread=0.4, rna_overdispersion=0.906, adt_overdispersion=0.164, expression_spread=0.614,
                    background_spread=1.42, foreground=16.0, positive_odds=-0.143, rna_programs=1.48,
                    adt_programs=10.4, program_spread=0.057, rna_donor=0.0, adt_donor=0.0, donor_imbalance=0.0,
                    rna_batch=0.286, adt_batch=0.0123, rna_cycle=0.125, adt_cycle=0.0426, genes=60, proteins=30,
                    programs=5, donors=2, batches=2, proportions=(0.306, 0.298, 0.148, 0.11, 0.08, 0.058)),
}
