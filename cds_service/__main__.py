"""``python -m cds_service`` is the command ``pnet-cds``.

Started this way the current folder comes first on the path, so folders of our names are looked for before anything of
ours is imported from them.
"""

import sys

from cds_service.errors import InstallationError
from cds_service.installation import check_installation

try:
    check_installation()
except InstallationError as error:
    sys.exit(f"pnet-cds: {error} [{error.slug}]")

from cds_service.cli import main

main()
