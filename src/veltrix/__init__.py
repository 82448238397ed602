"""Veltrix takes registrations for events and tells people what happened to them."""

from importlib.metadata import version

__version__ = version("veltrix")
