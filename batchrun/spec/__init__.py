"""The job file: read, checked and compiled, every error with its file, line and key."""
