"""Whether the packages that run are the ones of this distribution: two of their names are generic."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

from cds_service.errors import InstallationError

DISTRIBUTION = "pnet-cds"
_PACKAGES = ("cds_service", "fhir_profiles", "hooks")


def check_installation() -> None:
    """Stop when another distribution, or a folder of the same name, stands in for one of our packages.

    Raises:
        InstallationError: names the package and who owns it.
    """
    owners = packages_distributions()
    for package in _PACKAGES:
        owned_by = set(owners.get(package, ()))
        if len(owned_by) > 1:
            raise InstallationError(
                f"Package {package!r} is installed by {', '.join(sorted(owned_by))}; "
                "install pnet-cds into an environment of its own."
            )
    places = {package: _folder(package) for package in _PACKAGES}
    if len(set(places.values())) > 1:
        listed = ", ".join(f"{package} from {place}" for package, place in places.items())
        raise InstallationError(f"The packages come from different places ({listed}); start from another directory.")


def _folder(package: str) -> Path:
    module = import_module(package)
    file = module.__file__
    if file is None:
        raise InstallationError(f"Package {package!r} is a folder without code; start from another directory.")
    return Path(file).resolve().parent.parent
