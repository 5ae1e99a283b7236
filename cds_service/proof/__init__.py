"""Proof of the tables: the rules hold together over every state that rows can tell apart (``docs/proof.md``)."""
