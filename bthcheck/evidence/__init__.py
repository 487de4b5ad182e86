"""How claims are tested: findings, verdicts, trends, inequalities, probabilities, rankings, and searches for counterexamples.

Names are handed on from the modules they live in, which are imported on first use: a process that only reports needs the words
for verdicts and not SciPy.
"""

from typing import TYPE_CHECKING

from bthcheck import faces

if TYPE_CHECKING:
    from bthcheck.evidence.conditions import *  # noqa: F403
    from bthcheck.evidence.families import *  # noqa: F403
    from bthcheck.evidence.findings import *  # noqa: F403
    from bthcheck.evidence.inequalities import *  # noqa: F403
    from bthcheck.evidence.noninferiority import *  # noqa: F403
    from bthcheck.evidence.probabilities import *  # noqa: F403
    from bthcheck.evidence.ranking import *  # noqa: F403
    from bthcheck.evidence.trends import *  # noqa: F403

_NAMES = {
    "conditions": ("fitted", "passed"),
    "families": ("FAMILY_ERROR", "FAMILY_SIZE", "LEVEL", "level_of"),
    "findings": ("CONDITION", "CONFIDENCE", "WORST_FIRST", "Finding", "Verdict", "overall", "plain"),
    "inequalities": ("counterexample", "equality", "inequality"),
    "noninferiority": ("distinguishable", "holm", "non_inferiorities", "non_inferiority"),
    "probabilities": ("dispersion", "rate"),
    "ranking": (
        "ENOUGH",
        "axis_taus",
        "granulated_tau",
        "on_axes",
        "pair_weight",
        "robust_sign_error",
        "shuffled",
        "sign_errors",
    ),
    "trends": ("MINIMUM_EFFECT", "correlation", "mean_tau", "paired", "permuted", "trend", "values_of"),
}

__getattr__ = faces.handing_on(__name__, {name: f"{__name__}.{home}" for home, names in _NAMES.items() for name in names})
