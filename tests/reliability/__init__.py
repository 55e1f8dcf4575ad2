"""Proof of the promises about rows and money. `proofs` make the figures; the tests here are their short set."""
