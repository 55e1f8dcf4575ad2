"""Alerts: which there are is decided by pure rules, what was told is remembered, and targets are told."""
