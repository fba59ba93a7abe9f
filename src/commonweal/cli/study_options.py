"""The options that commands of ``commonweal study`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="NAME", help="The study's folder.")]
FolderOrFile = Annotated[
    Path,
    typer.Argument(
        metavar="NAME", help="The study's folder, or the file from study quick --keep FILE."
    ),
]
Database = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="COMMONWEAL_DATABASE",
        help="PostgreSQL instead of NAME/study.db: postgresql://USER@HOST/DATABASE.",
        show_default=False,
    ),
]
Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 means all.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]
BaseUrl = Annotated[
    str,
    typer.Option(metavar="URL", help="The address that people use, if it is not the server's own."),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Serve over TLS with this certificate; needs --tls-key."),
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="The key for --tls-certificate.")]
TrustedProxy = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Trust the X-Forwarded headers of this proxy.")
]
