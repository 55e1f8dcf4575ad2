"""A row's life: submit, wait, decide. Nothing here knows of the command line."""
