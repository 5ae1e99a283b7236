"""The EHR's side of a call, for ``pnet-cds call``: knows of a CDS service what its discovery says, and nothing else."""
