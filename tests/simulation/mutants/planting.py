"""Planting a bug: the source of a module is changed on its way from the file to the interpreter.

Nothing is written. Whoever plants must do so before Veltrix is imported, so each mutant has a process of
its own (`tests.simulation.mutants.planted`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class Misplanted(Exception):
    """The text that a mutant changes is not there, or not once: mend the mutant with the code."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One change of one module's source: `before` stands in it exactly once."""

    module: str
    before: str
    after: str

    def planted_in(self, source: str) -> str:
        """The source with the change. Raises `Misplanted`."""
        found = source.count(self.before)
        if found != 1:
            raise Misplanted(f"{self.module} has this text {found} times, not once:\n{self.before}")
        return source.replace(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug to plant. `breaks` is the promise; `seeds` how many the explorer may need.

    `equivalent` says why no run can tell it from the real code; then nothing is to be found. `rare`: it takes
    more seeds than the short matrix has time for.
    """

    name: str
    breaks: str
    patches: tuple[Patch, ...]
    seeds: int = 20
    equivalent: str = ""
    rare: bool = False


class _Loader(SourceFileLoader):
    """Loads a module from its changed source."""

    def __init__(self, name: str, path: str, patches: Sequence[Patch]) -> None:
        super().__init__(name, path)
        self._patches = patches

    def get_code(self, fullname: str) -> CodeType:
        """The code of the changed source; the cache of compiled files is left alone."""
        source = self.get_source(fullname)
        assert source is not None, "a module has a source"
        for patch in self._patches:
            source = patch.planted_in(source)
        return self.source_to_code(source.encode(), self.get_filename(fullname))


class _Finder(MetaPathFinder):
    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's usual place, with another loader."""
        ours = [patch for patch in self._patches if patch.module == name]
        spec = PathFinder.find_spec(name, path) if ours else None
        if spec is None or spec.origin is None:
            return None
        spec.loader = _Loader(name, spec.origin, ours)
        return spec


def plant(mutant: Mutant) -> None:
    """Change what is imported from now on. Raises `Misplanted` at once when a text is not there."""
    for patch in mutant.patches:
        assert patch.module not in sys.modules, f"{patch.module} is imported already"
    sys.meta_path.insert(0, _Finder(mutant.patches))


def check(mutant: Mutant) -> None:
    """Raise `Misplanted` unless every patch of the mutant fits the source as it is."""
    for module in {patch.module for patch in mutant.patches}:
        spec = PathFinder.find_spec(module.rpartition(".")[2], _folders(module))
        if spec is None or spec.origin is None:
            raise Misplanted(f"there is no module {module}")
        source = SourceFileLoader(module, spec.origin).get_source(module) or ""
        for patch in mutant.patches:
            if patch.module == module:
                source = patch.planted_in(source)
        compile(source, spec.origin, "exec")


def _folders(module: str) -> list[str]:
    """The folder of a module's package, without importing anything but the package Veltrix itself."""
    import veltrix

    *packages, _ = module.split(".")
    return ["/".join([folder, *packages[1:]]) for folder in veltrix.__path__]
