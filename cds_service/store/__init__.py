"""Consult log: what was answered and on which rows. No resource bodies, no patient identifiers."""
