"""The report: how does a diagnosis read to somebody who has not run it?

`write_report` turns a `MomentDiagnosis` into one HTML page that stands alone: no script, no network, drawings inside,
fit for a screen, a telephone and paper. It holds no equations of its own; the boundaries Delta_CA = 1 and
Delta_CP = 1 that it draws (K26 = Kamai et al., arXiv 2606.11190, section 3) come from `phasejax.theory`.

Read `report.html.jinja` first: it is the page, with every sentence that does not depend on the data. It lays out
the values that `_values` takes from the diagnosis and the drawings that `_figures` makes, and writes numbers with
the filters in `_format`. `report.css` is how the page looks. `_page` puts these together and writes the file.
"""

from phasejax.diagnosis.report._page import write_report as write_report
