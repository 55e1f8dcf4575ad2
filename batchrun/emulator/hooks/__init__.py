"""Webhooks: what is told, how it is signed, and the box from which it goes out, at least once."""
