"""Every mutant, by name."""

from tests.simulation.mutants import deciding, ledgers, processing, serving, telling
from tests.simulation.mutants.planting import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for room in (ledgers, processing, deciding, serving, telling)
    for mutant in room.MUTANTS
}
