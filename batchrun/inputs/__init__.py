"""Rows and media files as they come in: hostile, bounded, never trusted."""
