"""Dockerfile, compose.yaml and Kubernetes manifests: well formed, of one mind with the service, and not too free."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from cds_service import __version__
from cds_service.server import DRAIN_SECONDS, KEEP_ALIVE_SECONDS
from cds_service.settings import Settings
from tests.deployment.dockerfile import ROOT, all_of, environment, stages
from tests.requirement import missing

_PUBLIC: Final = "https://cds.example.org"
_IMAGE: Final = f"pnet-cds:{__version__}"
_OLDEST_KUBERNETES: Final = "1.34.0"
_SERVICES: Final = ("one", "two", "migrate")


def tool(name: str, *arguments: str, **environment: str) -> str:
    """What a checker prints; it has to be content."""
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    if program is None:
        missing("REQUIRE_DEPLOYMENT", f"{name} is not installed (make .venv/.installed-deploy)")
    ran = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@cache
def composed() -> dict[str, Any]:
    """compose.yaml as Compose understands it."""
    found: dict[str, Any] = yaml.safe_load(tool("docker-compose", "config", PNET_CDS_PUBLIC_URL=_PUBLIC))
    return found


@cache
def manifests() -> tuple[dict[str, Any], ...]:
    """The manifests as Kustomize makes them."""
    return tuple(yaml.safe_load_all(tool("kubectl", "kustomize", "deploy/kubernetes")))


def manifest(kind: str) -> dict[str, Any]:
    """The only one of a kind."""
    (found,) = [each for each in manifests() if each["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    """What an instance is on Kubernetes."""
    found: dict[str, Any] = manifest("StatefulSet")["spec"]["template"]["spec"]
    return found


def test_the_dockerfile_passes_its_linter() -> None:
    """Nothing to say, not even as advice."""
    assert tool("hadolint", "Dockerfile") == ""


def test_the_build_gets_what_it_copies_and_nothing_that_is_private() -> None:
    """Everything that is copied is let in by .dockerignore; what else is in the folder, secrets too, is kept out."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines[1] == "*"
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = [source for each in all_of("COPY", stages()[0]) for source in each.arguments.split()[:-1]]
    assert sorted(copied) == sorted(let_in)
    for private in ("secrets", "tls", ".env", ".git", "var", "tests"):
        assert not any(fnmatch(private, pattern) for pattern in let_in)


def test_no_secret_can_be_committed() -> None:
    """What docs/deployment.md lets an operator write into this folder is ignored."""
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert {"secrets/", "tls/", ".env"} <= set(ignored)


def test_the_image_is_that_of_this_version() -> None:
    """The label, Compose and Kubernetes name one version; the base images name theirs."""
    build, final = stages()
    (label,) = all_of("LABEL", final)
    assert f'image.version="{__version__}"' in label.arguments
    assert {composed()["services"][name]["image"] for name in _SERVICES} == {_IMAGE}
    containers = (*pod()["containers"], *pod()["initContainers"])
    assert {container["image"] for container in containers} == {_IMAGE}
    bases = [stage[0].arguments.split()[0] for stage in (build, final)]
    others = [service["image"] for name, service in composed()["services"].items() if name not in _SERVICES]
    assert len(set(bases)) == 1
    for image in (*bases, *others):
        assert re.fullmatch(r"[a-z]+:\d+\.?\d*-[a-z-]+", image), image


def settings_named() -> dict[str, str]:
    """Every setting that is given somewhere, and its value."""
    given = dict(environment(stages()[1]))
    for service in composed()["services"].values():
        given |= service.get("environment") or {}
    given |= manifest("ConfigMap")["data"]
    for container in (*pod()["containers"], *pod()["initContainers"]):
        given |= {variable["name"]: variable["value"] for variable in container["env"]}
    return {name: str(value) for name, value in given.items() if name.startswith("PNET_CDS_")}


def test_every_setting_exists() -> None:
    """Whatever is set is a setting of the service, and secrets are the files of settings."""
    known = {f"PNET_CDS_{name}".upper() for name in Settings.model_fields}
    assert set(settings_named()) <= known
    secrets = {secret["source"] for name in _SERVICES for secret in composed()["services"][name]["secrets"]}
    assert secrets == {"pnet_cds_database_url", "pnet_cds_hash_key"}
    assert {secret.upper() for secret in secrets} <= known


@pytest.mark.parametrize("name", _SERVICES)
def test_a_container_of_compose_may_do_little(name: str) -> None:
    """A root that cannot be written, no rights, memory for what passes; of the secrets its own only."""
    service = composed()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108
    assert "ports" not in service
    assert "user" not in service  # that of the image


def test_compose_starts_in_order_and_stops_in_time() -> None:
    """First the database, then the schema, then instances that are well, then the proxy; a stop is waited for."""
    services = composed()["services"]
    needed = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert needed["migrate"] == {"postgres": "service_healthy"}
    for name in ("one", "two"):
        assert needed[name] == {"migrate": "service_completed_successfully", "redis": "service_healthy"}
        assert seconds(services[name]["stop_grace_period"]) > DRAIN_SECONDS
        assert services[name]["restart"] == "unless-stopped"
    assert needed["proxy"] == {"one": "service_healthy", "two": "service_healthy"}
    assert {"healthcheck" in services[name] for name in ("postgres", "redis")} == {True}
    assert services["migrate"]["command"] == ["db", "migrate"]


def seconds(period: str) -> int:
    """A period as Compose writes it."""
    return int(period.removesuffix("s"))


def test_only_the_proxy_of_compose_can_be_reached() -> None:
    """Database and Redis are on a network without a way out; the proxy has no way to them."""
    composition = composed()
    published = [name for name, service in composition["services"].items() if service.get("ports")]
    assert published == ["proxy"]
    assert composition["networks"]["back"]["internal"] is True
    for name in ("postgres", "redis"):
        assert set(composition["services"][name]["networks"]) == {"back"}
    assert set(composition["services"]["proxy"]["networks"]) == {"front"}


def test_each_instance_of_compose_has_its_own_volume() -> None:
    """What an instance writes outlives it, and no other writes there."""
    volumes = {
        name: [(m["source"], m["target"]) for m in composed()["services"][name]["volumes"]] for name in ("one", "two")
    }
    assert volumes == {name: [(name, "/var/lib/pnet-cds")] for name in ("one", "two")}


def test_the_proxy_knows_the_instances_of_compose() -> None:
    """The addresses in the file for nginx are those of the instances; but for them it is the one beside nginx's own."""
    services = composed()["services"]
    addresses = [services[name]["networks"]["front"]["ipv4_address"] for name in ("one", "two")]
    upstream = (ROOT / "deploy" / "compose" / "upstream.conf").read_text("utf-8")
    assert re.findall(r"server ([\d.]+:\d+) ", upstream) == [f"{address}:8080" for address in addresses]
    shipped = (ROOT / "deploy" / "nginx" / "upstream.conf").read_text("utf-8")
    assert directives(re.sub(r"[\d.]+:\d+", "", upstream)) == directives(re.sub(r"[\d.]+:\d+", "", shipped))


def directives(text: str) -> list[str]:
    """The lines of a configuration of nginx that do something."""
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


def test_the_proxy_fits_the_service() -> None:
    """Idle connections are closed by the proxy first; bodies are refused by the service first; calls are sent once."""
    upstream = (ROOT / "deploy" / "nginx" / "upstream.conf").read_text("utf-8")
    server = "\n".join(directives((ROOT / "deploy" / "nginx" / "pnet-cds.conf").read_text("utf-8")))
    (idle,) = re.findall(r"keepalive_timeout (\d+)s", upstream)
    assert int(idle) + 10 < KEEP_ALIVE_SECONDS
    (largest,) = re.findall(r"client_max_body_size\s+(\d+)m", server)
    default = Settings.model_fields["max_body_bytes"].default
    assert default < int(largest) * 1024 * 1024 < default * 1.1
    (buffered,) = re.findall(r"client_body_buffer_size\s+(\d+)m", server)
    assert buffered == largest
    assert "non_idempotent" not in server
    (waited,) = re.findall(r"proxy_read_timeout\s+(\d+)s", server)
    assert int(waited) >= DRAIN_SECONDS


def test_the_manifests_fit_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    """Of the oldest version that is promised and of the newest known; a member that does not exist is an error."""
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(manifests()), "utf-8")
    for version in ([f"--kubernetes-version={_OLDEST_KUBERNETES}"], []):
        tool("kubernetes-validate", "--strict", "--quiet", *version, str(rendered))


def test_the_schemas_would_notice(tmp_path: Path) -> None:
    """The check above can fail."""
    rendered = tmp_path / "rendered.yaml"
    text = yaml.safe_dump_all(manifests())
    rendered.write_text(text.replace("readinessProbe", "readynessProbe"), "utf-8")
    with pytest.raises(AssertionError, match="readynessProbe"):
        tool("kubernetes-validate", "--strict", str(rendered))


def test_a_pod_may_do_little() -> None:
    """Nobody's user, a root that cannot be written, no rights, no token of the cluster, and a bound on memory."""
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (user,) = all_of("USER", stages()[1])
    context = pod()["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user.arguments
    for container in (*pod()["containers"], *pod()["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_a_pod_is_asked_and_left_in_peace_to_stop() -> None:
    """Probes of the right kind; the time to stop holds the pause and what is begun. One of two always stays."""
    (container,) = pod()["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] > pause + DRAIN_SECONDS
    readiness = container["readinessProbe"]
    assert pause >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert manifest("StatefulSet")["spec"]["replicas"] == 2
    assert manifest("PodDisruptionBudget")["spec"]["minAvailable"] == 1


def test_every_selector_selects_the_pods() -> None:
    """Services, the budget, the policy and the spread are about the pods there are."""
    labels = manifest("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [each["spec"]["selector"] for each in manifests() if each["kind"] == "Service"]
    selectors += [manifest(kind)["spec"]["selector"]["matchLabels"] for kind in ("StatefulSet", "PodDisruptionBudget")]
    selectors += [manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod()["topologySpreadConstraints"]]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    assert manifest("StatefulSet")["spec"]["serviceName"] in {
        each["metadata"]["name"] for each in manifests() if each["kind"] == "Service"
    }
