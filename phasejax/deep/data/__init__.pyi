from ._batch import Cell as Cell
from ._batch import Views as Views
from ._stereo import Stereo as Stereo
from ._stereo import draw as draw
from ._stereo import render as render
from ._stereo import stereo_dsprites as stereo_dsprites
from ._stereo import stereo_shapes3d as stereo_shapes3d
