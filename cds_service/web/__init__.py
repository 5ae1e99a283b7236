"""HTTP: the only rooms besides ``app`` that import Flask."""
