"""Templates over rows, in a sandbox, with bounded work."""
