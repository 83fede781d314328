"""What has no mathematics of multimodal learning in it, and what every other package builds on.

There are three kinds of modules. Read `pytree` and `linalg` first; the others when they are met.

- Under the theory: `pytree` (dataclasses that JAX traces through), `linalg` (whitening, leading eigenspaces and
  singular values with derivatives that stay finite) with `batched_eigh` and `small_matrices` beneath it, and
  `root_finding` (zeros under `jit`, differentiable by the implicit function theorem).
- Under long runs: `devices` (cores, devices, programs of many cells), `resumable` (experiments in parts that go on
  after a kill), `run_lock` (one run at a time in a folder), `manifest` (folders with checksums), `atomic_files` (files
  that are never half written) and `progress` (the one progress callback).
- At the door: `validation` (checks of arguments), `serialise` (results as JSON) and `provenance` (on what they were
  computed).

Nothing here is public.
"""
