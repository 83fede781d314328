"""CITE-seq experiments in each of the four regimes."""

from phasejax.instruments._cite_seq import CiteSeq

# Every one differs from the first in a few numbers only, which say what makes the regime:
# - ca_only: staining and the cell cycle move the proteins strongly, but RNA shows half of that at most. Alignment ranks
#   by correlation and leaves it behind; prediction ranks by the variance it explains.
# - cp_only: RNA carries little of the programs, so that what the views share of them is noisy but, of on and off
#   proteins, large. Donor, batch and cell cycle are small in the proteins and reliably the same in both views.
# - neither: the same three are large as well, and proteins follow the programs loosely.
CITE_PRESETS: dict[str, CiteSeq] = {
    "both": CiteSeq(),
    "ca_only": CiteSeq(rna_donor=0.4, adt_donor=1.5, donor_common=0.5, rna_cycle=0.4, adt_cycle=1.5, cycle_common=0.5),
    "cp_only": CiteSeq(rna_programs=0.15, rna_donor=0.5, adt_donor=0.25, donor_common=1.0, rna_batch=0.5,
                       adt_batch=0.25, rna_cycle=0.5, adt_cycle=0.25, cycle_common=1.0),
    "neither": CiteSeq(adt_programs=1.5, rna_donor=0.5, adt_donor=0.7, donor_common=1.0, rna_cycle=0.5, adt_cycle=0.7,
                       cycle_common=1.0),
}
