"""The level of every test, so small that all claims of a family together err with a stated probability.

The paper's claims are one family and those that go beyond it a second, each with its own 5 %: a claim that is added to one
takes nothing from the other.
"""

from bthcheck.checks import one_of
from bthcheck.choices import FAMILIES

FAMILY_ERROR = 0.05
FAMILY_SIZE = 20
"""Statistical claims of the paper that the project may ever register; the plugin refuses to collect more."""
SIZES = {"paper": FAMILY_SIZE, "extensions": 24}
"""Family → the same of it. Two levels and 10 seeds have no p below 2⁻¹⁰: from a size of 26 on, they could support nothing."""
assert tuple(SIZES) == FAMILIES


def level_of(family: str) -> float:
    """Return the level of each one-sided test of a family, and of refuting one of its claims.

    By Bonferroni, all its claims in both directions together err with probability ≤ 5 %.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    one_of("family", family, FAMILIES)
    return FAMILY_ERROR / (2 * SIZES[family])


LEVEL = level_of("paper")
"""That of the paper's claims, and of all that name no family."""
