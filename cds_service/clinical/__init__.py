"""Verbs: pure functions from facts and rows to findings. No network, clock, environment or framework here."""
