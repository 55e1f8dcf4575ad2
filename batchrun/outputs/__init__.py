"""The output files, made from the store alone: delete them, and an export makes them again."""
