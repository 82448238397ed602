"""Whether a deployment is fit for production: its configuration, its files, and its engines as they run."""

from veltrix.readiness.check import examine
from veltrix.readiness.findings import Finding, Level, Verdict

__all__ = ["Finding", "Level", "Verdict", "examine"]
