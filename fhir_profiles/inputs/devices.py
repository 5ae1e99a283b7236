"""Implants and their MR safety. The worst device on record decides; removed devices do not count."""

from __future__ import annotations

from fhir_profiles.chart import Chart
from fhir_profiles.reading import Label, Resource, label_in, matches, member, objects, reference_id, status, text, words

_GONE = frozenset({"inactive", "entered-in-error"})
_USE_OVER = frozenset({"completed", "entered-in-error", "stopped", "intended"})
_SAFETY = [
    Label(
        value="non-mr-conditional",
        phrases=["mr unsafe", "mri unsafe", "magnetic resonance unsafe", "not mr conditional", "non mr conditional"],
    ),
    Label(value="mr-conditional", phrases=["mr conditional", "mri conditional", "magnetic resonance conditional"]),
    Label(value="none", phrases=["mr safe", "mri safe", "magnetic resonance safe"]),
]


def read_device(resource: Resource, chart: Chart) -> None:
    """``implant`` from Device.safety; a device without a label is of unknown safety."""
    if status(resource) in _GONE:
        chart.skip(resource, f"device status is {status(resource)}", "implant")
        chart.devices_gone.add(text(resource.get("id")))
        return
    label = words(resource.get("type")) or _name(resource) or "device"
    values = [_safety(flag, chart) for flag in objects(resource.get("safety"))]
    known = [value for value in values if value]
    chart.implants.append((_worst(known) if known else "unknown", resource, label))


def _name(resource: Resource) -> str:
    return next((text(entry.get("name")) for entry in objects(resource.get("deviceName"))), "")


def _safety(flag: object, chart: Chart) -> str | None:
    for match in matches(flag, chart.terminology):
        if match.role == "mr-safety":
            return str(match.facts["implant"])
    label = label_in(words(flag), _SAFETY)
    return label.value if label else None


WORST_FIRST = ("non-mr-conditional", "unknown", "mr-conditional", "none")


def _worst(values: list[str]) -> str:
    return min(values, key=WORST_FIRST.index)


def read_use(resource: Resource, chart: Chart) -> None:
    """A device in use; one that is not in the request itself is of unknown safety."""
    device = reference_id(resource.get("device"), "Device")
    contained = text(member(resource.get("device"), "reference")).removeprefix("#")
    held = next((c for c in objects(resource.get("contained")) if contained and c.get("id") == contained), None)
    if held is not None and status(resource) not in _USE_OVER:
        read_device({**held, "resourceType": resource["resourceType"], "id": resource.get("id")}, chart)
        return
    if status(resource) in _USE_OVER:
        if device:
            chart.devices_gone.add(device)
        return
    chart.devices_used.append((device or "", resource))
