"""A PostgreSQL server of the tests' own, where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from easee_load_balancer.system.processes import HOST, free_port
from tests.support.local_server import NotInstalled
from tests.support.waiting import LONGEST_S

PASSWORD = "pw-of-postgres"
_OWNER = "tests"
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    url: str
    """The URL of its one database, for SQLAlchemy."""

    def empty_database(self) -> str:
        """The URL of the database, emptied."""
        self.execute("DROP SCHEMA public CASCADE")
        self.execute("CREATE SCHEMA public")
        return self.url

    def another(self, name: str) -> Postgres:
        """A further database of this server, new and empty."""
        self.execute(f"CREATE DATABASE {name}")
        return Postgres(self.url.rpartition("/")[0] + f"/{name}")

    def database_bytes(self) -> int:
        """Size of the database."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(found[0]) if found else 0

    def execute(self, statement: str) -> None:
        """Run a statement that returns nothing, as the owner of everything."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())


def for_prefect(url: str) -> str:
    """The URL of a database as Prefect takes it."""
    return url.replace("postgresql://", "postgresql+asyncpg://")


@contextmanager
def running_postgres(*networks: str) -> Iterator[Postgres]:
    """A server on a free port of loopback; `networks` may be led there. Raises NotInstalled."""
    programs, user = _programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, "-D", folder / "data", *arguments],
            user=user.pw_uid if os.geteuid() == 0 else None,
            group=user.pw_gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=LONGEST_S,
        )

    try:
        password = folder / "password"
        password.write_text(PASSWORD)
        os.chown(password, user.pw_uid, user.pw_gid)
        login = ("-U", _OWNER, "-A", "scram-sha-256", f"--pwfile={password}")
        run("initdb", "--no-sync", *login)
        with (folder / "data" / "pg_hba.conf").open("a") as access:
            access.writelines(f"host all all {one} scram-sha-256\n" for one in networks)
        listen = f"-h {HOST} -p {port} -k {folder} {_FAST}"
        run("pg_ctl", "start", "--wait", f"--log={folder}/log", "-o", listen)
        try:
            yield Postgres(f"postgresql://{_OWNER}:{PASSWORD}@{HOST}:{port}/postgres")
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of PostgreSQL's programs: in PATH, or the newest where Debian puts them."""
    found = shutil.which("initdb")
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2])
    )
    for folder in ([Path(found).parent] if found else []) + debian[::-1]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise NotInstalled("PostgreSQL is not installed")


def _user() -> pwd.struct_passwd:
    """Who runs the server: root must not."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise NotInstalled(
            "PostgreSQL does not run as root, and there is no user postgres"
        ) from None
