"""The report: how does a diagnosis read to somebody who has not run it?

`write_report` turns a `Diagnosis` into one HTML page that stands alone: no script, no network, drawings inside, fit for
a screen, a telephone and paper. Its first screen is the answer: what to use in each situation, with scores and how sure
that is, beside one picture of what was compared. It holds no equations of its own; the boundaries Delta_CA = 1 and
Delta_CP = 1 that it draws where a spiked model describes the data (K26 = Kamai et al., arXiv 2606.11190, section 3)
come from `phasejax.theory`.

Read `report.html.jinja` first: it is the page, with every sentence that does not depend on the data. It lays out the
answer that `_answer` takes from the diagnosis, what `_evidence` takes from its parts and `_fit_values` from the fitted
model, and the drawings that `_figures` and `phasejax.diagnosis._score_plots` make, and writes numbers with the filters
in `_format`. `report.css` is how the page looks. `_page` puts these together and writes the file.
"""

from phasejax.diagnosis.report._page import write_report as write_report
