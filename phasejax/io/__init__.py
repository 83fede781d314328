"""How do arrays come in? Tables in files of many formats, labels, and the moments of what does not fit in memory.

No equation of the papers is here. A second-order method depends on the rows of its views only through their number,
means and scatter matrices, which are computed in one pass over blocks of rows.

Read `_table` first: a `Table` is rows that are read when they are asked for. `_readers` opens arrays and NumPy, Zarr
and Parquet files as tables (`open_table`), `_hdf5` HDF5, AnnData and MuData files, `_text_table` tables of text,
whose dialect and header `_text_dialect` and `_text_header` decide. `_named` takes rows with their identifiers from
whatever container or file people bring (`as_named`, with `_named_files` and `_plain_values`), and `_matching` joins
two views and their labels by identifier (`match_rows`), with `_features` on missing values and `_groups` on rows that
belong together. `_moments` computes the moments of tables side by side (`accumulate`, `Moments`). `_arrays` reads small
files whole (`load_array`) and checks views, `_labels` turns labels into columns (`encode_labels`).

Two published layouts have readers of their own, which return `PairedFeatures` with targets, groups and the parts of a
split: stars (`read_star_features`, with `_star_identifiers` and `_star_catalogues`) and cells (`read_cite_seq`, with
`_count_preprocessing`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
