"""What would change the regime? The phase diagram as a page to play with, in one file and without a network.

`_page` fills the template `page.html.jinja`. `theory.js` has the closed forms and the finite-sample theory of
`phasejax.theory` for signals of geometrically falling strength and nuisance that is alike in all coordinates;
`diagram.js` finds and paints the boundaries, and `view.js` is the page around them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
