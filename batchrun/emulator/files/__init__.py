"""The Files API: uploads in two steps, files that live for 48 hours, references to them in requests."""
