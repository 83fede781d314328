"""Image and caption: which objective learns what an image shows, when the caption may name the image's style?

Read the modules in this order:

- `_vocabulary`: captions as numbers.
- `_pairs`: images with captions and labels; `_emoji`, `_glyphs` and `_coco` (with `_decoded_images` and `_scenes`) make
  them, and `_loader` reads batches of them ahead of the training.
- `_styles`, `_style_draw`, `_image_statistics`, `_nuisance`, `_present`: distortions, and what a caption says of them.
- `_features`: pixels and words for a diagnosis before any training.
- `_experiment`: every choice of a run in one object, trained by `phasejax.deep.train_grid` through `_sources` and
  `_epochs`; `_evaluation` (with `_retrieval`) scores what was trained, `_scores` and `_plots` show it.
- `_resnet` (on `_convolution` and `_winograd`), `_vision_transformer`, `_text`, `_pixel_decoder`: the networks;
  `_architecture`: all of an experiment; `_image_weights`: pretrained ones.
- `_objectives`: what is minimised; `_training_step`: one step.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
