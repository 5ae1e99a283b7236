"""``python -m cds_service`` is the command ``pnet-cds``."""

from cds_service.cli import main

main()
