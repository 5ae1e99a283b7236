"""pnet-cds: decision support for imaging of neuroendocrine tumours. Holds the version, imports nothing."""

__version__ = "0.1.0"
