"""TODO report."""

from phasejax.diagnosis.report._page import write_report as write_report
