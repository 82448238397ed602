"""The configuration: typed, frozen, checked as a whole, and read from the outside once, here.

Defaults < a TOML file < `VELTRIX_…` variables < options of the command line. See docs/configuration.md.
"""

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
    "Http",
    "Imports",
    "Loaded",
    "Log",
    "Logging",
    "Notification",
    "Origin",
    "Problem",
    "Processing",
    "Secret",
    "Smtp",
    "Source",
    "load",
    "state_directory",
]
