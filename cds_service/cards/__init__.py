"""Findings to cards: wording, detail and one-click suggestions. Decides nothing clinical."""
