"""What a run imports on its way, imported at once."""
