"""Proof of the promises about rows and money: each module makes figures with `prove`, and a short set in CI's tests."""
