"""``commonweal plugins``: what can be named, where it comes from, and what cannot be used."""

from __future__ import annotations

import json as json_
from typing import Annotated, Any

import typer

EXAMPLE = "Example: commonweal plugins"


def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the available engines, policies, reward models and welfare rules.

    The list includes those from installed packages and names the package of each. A plugin that
    cannot be used is listed with the reason and affects nothing else. How to write one:
    docs/plugins.md.
    """
    from commonweal import registry

    entries, problems = registry.survey()
    if json:
        fields: dict[str, Any] = {
            "plugins": [
                {
                    "group": entry.kind.group,
                    "name": entry.name,
                    "package": entry.package,
                    "version": entry.version,
                    "target": entry.target,
                }
                for entry in entries
            ],
            "problems": [
                {
                    "group": None if problem.kind is None else problem.kind.group,
                    "name": problem.name,
                    "package": problem.package,
                    "version": problem.version,
                    "reason": problem.reason,
                }
                for problem in problems
            ],
        }
        typer.echo(json_.dumps(fields, ensure_ascii=False, indent=2))
        return
    for kind in registry.KINDS:
        typer.echo(f"{kind.several[0].upper()}{kind.several[1:]} ({kind.chosen_by})")
        for entry in entries:
            if entry.kind is kind:
                typer.echo(f"  {entry.name:<20} {entry.package} {entry.version}")
        for alias, name in registry.ALIASES.get(kind, {}).items():
            typer.echo(f"  {alias:<20} another name of {name}")
    if problems:
        typer.echo("Cannot be used")
        for problem in problems:
            typer.echo(f"  {problem}")
