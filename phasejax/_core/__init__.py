"""TODO signpost of _core."""
