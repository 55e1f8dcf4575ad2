"""One run put together: its directory, its service, the engine carried to the end, its output files."""
