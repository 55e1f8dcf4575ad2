"""What answers must satisfy: JSON Schema, with bounded work."""
