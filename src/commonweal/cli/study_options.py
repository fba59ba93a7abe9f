"""The options that commands of ``commonweal study`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="NAME", help="The study's folder.")]
Database = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="COMMONWEAL_DATABASE",
        help="PostgreSQL instead of NAME/study.db: postgresql://USER@HOST/DATABASE.",
        show_default=False,
    ),
]
Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]
BaseUrl = Annotated[
    str, typer.Option(metavar="URL", help="The address that people see, where it is another.")
]
TlsCertificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Serve over TLS, with --tls-key.")
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="The key.")]
TrustedProxy = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Believe X-Forwarded headers of this proxy.")
]
