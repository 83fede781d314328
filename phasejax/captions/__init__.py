"""Image and caption: which objective learns what an image shows, when the caption may name the image's style?

Read the modules in this order:

- `_vocabulary`: captions as numbers.
- `_pairs`: images with captions and labels; `_emoji`, `_glyphs` and `_coco` make them.
- `_styles`, `_nuisance`: the distortions, and what a caption says of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
