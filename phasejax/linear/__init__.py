"""What do covariances give, whether or not a model stands behind them? Alignment and prediction by linear maps.

Alignment (CA, eq. 1 and Theorem A.1 of K26) and prediction (CP, eq. 2 and Theorem A.2) of two views depend on
their covariances alone. Read the modules in this order:

- `_covariances`: covariances of a pair of views, and the whitened coordinates that the solvers share.
- `_solvers`: CA, CP, CA with a probe and the joint objective in closed form.
- `_subspaces`, `_metrics`: errors between subspaces, recovered signals, prediction error, size of encoders.
- `_loss_core`, `_losses`: VICReg, DeepCCA, prediction and the joint loss as functions of second moments.
- `_gradient_descent`, `_infonce`: linear encoders trained on these losses, and on InfoNCE.
- `_estimators`: CA, CP and the joint objective for scikit-learn, and `_two_view_encoder`, their place in a pipeline;
  behind them `_two_views` (what they share), `_estimator_checks`, `_pair_moments`, `_closed_forms` (in NumPy) and
  `_one_thread`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
