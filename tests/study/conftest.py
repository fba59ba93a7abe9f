"""The databases that the study is tested on: SQLite, and a PostgreSQL started here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra `study` is not installed")

from attack_table import note_attack, print_table
from study_making import empty_database


def pytest_collection_modifyitems(items):
    for item in items:
        note_attack(item)
    # The longest last: whoever stops `make attack` then sees how everything else came out.
    items.sort(key=lambda item: "ten_thousand" in item.name)


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("markexpr", "").startswith("attack"):
        print_table(terminalreporter)


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server():
    """The socket folder of a PostgreSQL that lives as long as the tests."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL to start (Debian: apt-get install postgresql)")
    # A short path: a socket's name has about 100 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="cw-pg-"))
    data = folder / "data"
    as_user = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    else:
        as_user = []
    run = {"check": True, "capture_output": True, "cwd": "/"}
    subprocess.run(
        [*as_user, programs / "initdb", "-D", data, "-U", "study", "-A", "trust", "-E", "UTF8"],
        **run,
    )
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=100"
    subprocess.run(
        [
            *as_user,
            programs / "pg_ctl",
            "-D",
            data,
            "-w",
            "-o",
            options,
            "-l",
            folder / "log",
            "start",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    yield folder
    subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty database."""
    return empty_database(postgres_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def argon2_hasher():
    """What passwords are hashed with outside of these tests."""
    return pytest.importorskip("commonweal.study.domain.researchers")._hasher


@pytest.fixture(autouse=True)
def cheap_passwords(argon2_hasher, monkeypatch):
    """Hashing that is as good as none: hundreds of logins would take most of the tests' time."""
    from argon2 import PasswordHasher

    from commonweal.study.domain import researchers

    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(researchers, "_hasher", cheap)
    monkeypatch.setattr(researchers, "_NOBODY", cheap.hash("a password that nobody has"))


@pytest.fixture(scope="session", autouse=True)
def compiled_pages():
    """Templates that are compiled once, however many sites are made of them."""
    app = pytest.importorskip("commonweal.study.web.app")
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        kept = {}  # noqa: RUF012

        def load_bytecode(self, bucket):
            bucket.code = self.kept.get((bucket.key, bucket.checksum))

        def dump_bytecode(self, bucket):
            self.kept[bucket.key, bucket.checksum] = bucket.code

    made, kept = app._templates, Compiled()

    def templates():
        environment = made()
        environment.bytecode_cache = kept
        return environment

    app._templates = templates
    yield
    app._templates = made


@pytest.fixture(scope="module")
def chromium():
    """A Chromium without a window. Its loop runs until it is closed, so it ends with the module:
    others begin loops of their own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path):
    """An app of a small study on SQLite."""
    from web_making import Served  # needs starlette, which not every test here does

    made = Served(tmp_path)
    yield made
    made.place.store.close()
