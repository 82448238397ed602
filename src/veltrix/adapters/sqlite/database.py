"""Opening a database file: ours or refused, in WAL mode, with its schema made in one place."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from veltrix.ports.errors import Mismatch, Unavailable

BUSY_TIMEOUT_MS: Final = 5_000
WAL_FILE_MAX_BYTES: Final = 64 * 1024 * 1024

Synchronous = Literal["FULL", "OFF"]
"""`FULL` is what durability needs. `OFF` exists so that a test can be shown to notice its absence."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its name for people, `PRAGMA application_id`, schema version and schema."""

    name: str
    application_id: int
    version: int
    schema: str
    secure_delete: bool = False
    cache_kib: int = 16 * 1024
    later: tuple[tuple[str, str], ...] = ()
    """Columns that an older program's file lacks, each as its table and its definition; NULL in old rows."""


class Database:
    """One file, and the settings that each connection to it gets.

    Opening creates the file when it is missing. Raises `Mismatch` for a file that is not of this kind or
    is of a newer version, `Unavailable` when it cannot be opened.
    """

    def __init__(
        self, path: Path, kind: Kind, *, synchronous: Synchronous = "FULL", read_only: bool = False
    ) -> None:
        self.path = path
        self.kind = kind
        self.read_only = read_only
        self._synchronous = synchronous
        self._lacking: dict[str, list[str]] = {}
        if not read_only:
            _create_file(path)
        connection = self.connect()
        try:
            self._prepare(connection)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Mismatch(f"{self._foreign()} ({error})") from error
        finally:
            connection.close()

    def connect(self) -> sqlite3.Connection:
        """A connection in autocommit mode; the caller lets one thread at a time use it."""
        mode = "ro" if self.read_only else "rwc"
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_TIMEOUT_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self.path} cannot be opened: {error}") from error
        try:
            connection.execute(f"PRAGMA secure_delete = {'ON' if self.kind.secure_delete else 'OFF'}")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA cache_size = -{self.kind.cache_kib}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_FILE_MAX_BYTES}")
            # Pages reach the WAL at COMMIT only, in the thread that also runs the checkpoints.
            connection.execute("PRAGMA cache_spill = OFF")
            for table, columns in self._lacking.items():
                # Nothing may be added to a file that is only read: a view in its place has them.
                nulls = "".join(f", NULL AS {column.split()[0]}" for column in columns)
                connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *{nulls} FROM main.{table}")
        except sqlite3.DatabaseError as error:
            connection.close()
            raise Mismatch(f"{self._foreign()} ({error})") from error
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version, tables) == (0, 0, 0):
            self._create(connection)
            return
        if application_id != self.kind.application_id:
            raise Mismatch(self._foreign())
        if version != self.kind.version:
            raise Mismatch(
                f"{self.path} has schema version {version} of a Veltrix {self.kind.name}, this program reads "
                f"{self.kind.version}; run the version of Veltrix that wrote it, or restore an older backup"
            )
        for table, column in self.kind.later:
            query = "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?"
            if connection.execute(query, (table, column.split()[0])).fetchone()[0]:
                continue
            if self.read_only:
                self._lacking.setdefault(table, []).append(column)
            else:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")

    def _create(self, connection: sqlite3.Connection) -> None:
        if self.read_only:
            raise Unavailable(f"{self.path} is empty; start Veltrix on this data directory first")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        for statement in self.kind.schema.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {self.kind.application_id}")
        connection.execute(f"PRAGMA user_version = {self.kind.version}")
        connection.execute("COMMIT")
        _sync_directory(self.path.parent)

    def _foreign(self) -> str:
        return f"{self.path} is not a Veltrix {self.kind.name}; move it away, or name another data directory"


def _create_file(path: Path) -> None:
    """Make an empty file for its owner alone, if there is none; what SQLite puts beside it follows."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    """Make the new file's name as durable as its content."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a platform that opens no directories keeps their entries itself
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
