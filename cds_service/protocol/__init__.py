"""CDS Hooks messages as types. No clinical words here."""
