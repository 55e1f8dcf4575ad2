"""Each module here makes the figures of one proof with `prove(where, full=…)`."""
