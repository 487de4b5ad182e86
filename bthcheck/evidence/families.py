"""The level of every test, so small that all claims of a family together err with a stated probability."""

FAMILY_ERROR = 0.05
FAMILY_SIZE = 20
"""Statistical claims the project may ever register; the plugin refuses to collect more."""
LEVEL = FAMILY_ERROR / (2 * FAMILY_SIZE)
"""Level of each one-sided test, and of refuting a claim. By Bonferroni, all claims in both directions together err with
probability ≤ 5 %."""
