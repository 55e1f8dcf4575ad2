"""Where the content of an answer comes from."""
