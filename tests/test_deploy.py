"""What deploy/ asks for: by its schemas, and by our own command line. No container is started."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path

import pytest
import typer
import yaml

from commonweal.cli.app import app
from commonweal.extras import EXTRAS

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    (path.name, document)
    for path in sorted(DEPLOY.glob("*.yaml"))
    if path.name != "compose.yaml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
NAMES = [f"{name}-{document['kind']}" for name, document in MANIFESTS]


def pod_templates(document: dict) -> list[dict]:
    if document["kind"] == "RayJob":
        cluster = document["spec"]["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        return [group["template"] for group in groups]
    return [document["spec"]["template"]] if "template" in document["spec"] else []


def commands() -> list[list[str]]:
    found = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    for _, document in MANIFESTS:
        if document["kind"] == "RayJob":
            found.append(shlex.split(document["spec"]["entrypoint"]))
        for template in pod_templates(document):
            found += [
                each["command"] for each in template["spec"]["containers"] if "command" in each
            ]
    for line in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("RUN commonweal"):
            found.append(shlex.split(line.removeprefix("RUN ")))
    return [command[1:] for command in found if command[0] == "commonweal"]


def test_compose_keeps_to_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("check_jsonschema")
    file = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**COMPOSE, "services": {"a": {"imagee": "b"}}}, schema)


@pytest.mark.parametrize(("name", "document"), MANIFESTS, ids=NAMES)
def test_manifests_keep_to_the_schemas_of_kubernetes(name, document):
    validating = pytest.importorskip("kubernetes_validate")
    if document["kind"] != "RayJob":  # its schema comes with KubeRay
        validating.validate(document, "1.30", strict=True)
    for template in pod_templates(document):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, **template}
        pod["metadata"] = {"name": "one", **template.get("metadata", {})}
        validating.validate(pod, "1.30", strict=True)
        mounted = {v["name"] for v in template["spec"].get("volumes", [])}
        for each in template["spec"]["containers"]:
            assert {mount["name"] for mount in each.get("volumeMounts", [])} <= mounted


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_is_one_of_ours(arguments):
    command = typer.main.get_command(app)
    left = [each.split("$")[0] or "x" for each in arguments]
    context = command.make_context("commonweal", left[:1] + left[1:], resilient_parsing=True)
    while hasattr(command, "commands"):
        name, *left = left
        command = command.commands[name]
    context = command.make_context(command.name, left, parent=context)
    assert not context.args


def test_servers_leave_the_writing_to_workers():
    studies = [each for each in commands() if each[0] == "study"]
    assert sorted(each[1] for each in studies) == ["serve"] * 3 + ["work"] * 2
    assert all("--no-writing" in each for each in studies if each[1] == "serve")


def test_what_is_named_is_there():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source == "./Caddyfile":
                assert (DEPLOY / "Caddyfile").is_file()
    servers = [name for name in COMPOSE["services"] if name.startswith("web-")]
    caddy = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert len(servers) == 2
    assert all(f"{name}:8000" in caddy for name in servers)
    docker = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (extras,) = [line for line in docker.splitlines() if '".[' in line]
    assert {each for each in EXTRAS if each in extras} >= {"app", "study", "scale"}
    for line in docker.splitlines():
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (DEPLOY.parent / source).exists(), source
