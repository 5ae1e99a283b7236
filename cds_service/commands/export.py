"""``pnet-cds export-fhir``: the knowledge and the profiles as a FHIR package."""

from __future__ import annotations

import gzip
import io
import tarfile
from datetime import date
from pathlib import Path

import click

from cds_service.artefacts import artefacts
from cds_service.artefacts.package import package_files
from cds_service.settings import load_settings
from cds_service.sites import knowledge_for
from fhir_profiles.terminology import load_terminology


@click.command("export-fhir")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--loose", is_flag=True, help="Write the single files too, under DIR/package.")
@click.option("--site", metavar="FILE", default="", help="Site policy (TOML); default: PNET_CDS_SITE_FILE.")
def export_fhir(directory: Path, loose: bool, site: str) -> None:
    """Write profiles, value sets and the computable guideline as an installable FHIR package, DIR/package.tgz.

    The same knowledge gives the same bytes.
    """
    terminology = load_terminology()
    knowledge = knowledge_for(site or load_settings().site_file, terminology).on(date.today())
    held = artefacts(knowledge, terminology)
    files = package_files(held)
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / "package.tgz"
    target.write_bytes(_archive(files))
    if loose:
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    counted = f"{len(held.by_key)} artefacts and {len(held.examples)} examples"
    click.echo(f"{target}: {counted}, version {held.stamp.version}")


def _archive(files: dict[str, bytes]) -> bytes:
    """A gzipped tar without anything of the machine or the time in it."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
