"""Events that the service sends: received, proved to be its own, and passed on as hints. Nothing here is believed."""
