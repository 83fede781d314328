"""Nonlinear experiments: encoders trained on rendered or measured pairs (K26, section 4)."""
