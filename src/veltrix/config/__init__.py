"""The configuration: typed, frozen, checked as a whole, and read from the outside once, here.

Defaults < a TOML file < `VELTRIX_…` variables < options of the command line. See docs/configuration.md.
"""

from veltrix.config.engines import Etcd, Kafka, Operations, Postgres, Secrets
from veltrix.config.kinds import Secret
from veltrix.config.loading import Loaded, load, state_directory
from veltrix.config.model import (
    Config,
    Data,
    Http,
    Imports,
    Log,
    Logging,
    Notification,
    Processing,
    Smtp,
)
from veltrix.config.sources import ConfigError, Origin, Problem, Source

__all__ = [
    "Config",
    "ConfigError",
    "Data",
    "Etcd",
    "Http",
    "Imports",
    "Kafka",
    "Loaded",
    "Log",
    "Logging",
    "Notification",
    "Operations",
    "Origin",
    "Postgres",
    "Problem",
    "Processing",
    "Secret",
    "Secrets",
    "Smtp",
    "Source",
    "load",
    "state_directory",
]
