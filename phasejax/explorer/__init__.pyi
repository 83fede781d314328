from ._page import write_explorer as write_explorer
