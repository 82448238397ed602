"""What people are told about errors of the system, of databases and of ports."""

import errno
import sqlite3

import pytest

from veltrix.cli.exits import ExitCode
from veltrix.cli.failures import Failure, explain
from veltrix.config import ConfigError, Problem
from veltrix.ports.errors import Mismatch, Unavailable


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (OSError(errno.EADDRINUSE, "x"), "the port is in use by another program", "choose another port"),
        (OSError(errno.ENOSPC, "x"), "the disk is full", "make room"),
        (OSError(errno.ENOSPC, "x", "/data/log.db"), "/data/log.db is full", "make room"),
        (PermissionError(errno.EACCES, "x", "/data"), "/data may not be used by this user", "the right"),
        (OSError(errno.EROFS, "x", "/data"), "/data can only be read", "can be written"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/data"), "/data has a file where a directory", "another"),
        (OSError(errno.EMFILE, "x"), "a file or connection cannot be opened: too many open files", "ulimit"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full", "make room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written", "right"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be opened", "permissions"),
        (sqlite3.OperationalError("disk I/O error"), "the disk cannot be read or written", "check the disk"),
        (sqlite3.DatabaseError("file is not a database"), "damaged or of another kind", "restore"),
        (Unavailable("database or disk is full"), "the disk is full", "make room"),
        (Mismatch("the log is another's; restore both"), "the log is another's; restore both", ""),
        (ExceptionGroup("g", [OSError(errno.ENOSPC, "x"), Mismatch("m")]), "the disk is full", "make room"),
    ],
)
def test_operating_errors_are_explained(error, message, remedy):
    """Each gives a message with a remedy and exit code 3."""
    failure = explain(error)
    assert failure is not None
    assert message in failure.message
    assert remedy in failure.remedy
    assert failure.code is ExitCode.UNAVAILABLE


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        KeyError("x"),
        OSError(errno.EXDEV, "x"),
        sqlite3.OperationalError("no such table: x"),
        ExceptionGroup("g", [OSError(errno.ENOSPC, "x"), KeyError("x")]),
    ],
)
def test_defects_are_not_explained_away(error):
    """What nobody expected is a defect, and is reported as one."""
    assert explain(error) is None


def test_configuration_problems_come_together():
    """One problem stands in the sentence, several in a list; the exit code is that of wrong usage."""
    problem = Problem("http.port", "0", "a.toml:1", "is wrong", "mend it")
    one, two = explain(ConfigError([problem])), explain(ConfigError([problem, problem]))
    assert one is not None
    assert two is not None
    assert one.message == "The configuration cannot be used. a.toml:1: http.port = 0 is wrong; mend it"
    assert two.message.count("\n") == 2
    assert one.code is ExitCode.USAGE


def test_a_failure_is_told_as_it_is():
    """What a command itself found is passed on."""
    failure = Failure("no", "yes")
    assert explain(failure) is failure
