from ._arrays import load_array as load_array
from ._labels import encode_labels as encode_labels
from ._moments import Moments as Moments
from ._moments import accumulate as accumulate
from ._readers import open_table as open_table
from ._table import Table as Table
