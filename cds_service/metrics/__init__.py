"""Counts for Prometheus: how often what happened, never to whom. See ``counts.py`` and ``shared.py``."""
