"""Colours of the objectives in every figure."""

OBJECTIVE_COLOURS = {"CA": "#0072B2", "CP": "#D55E00", "joint": "#009E73"}
