"""What could be wrong with the programs of Theorem 2, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

MUTANTS_OF_REGIONS = [
    Mutant(
        "infeasible read as a bound", "distance to the column space", "geometry/pursuit.py",
        "outcome[distance >= OUTSIDE * norm] = Outcome.INFEASIBLE",
        "outcome[distance >= OUTSIDE * norm] = Outcome.SOLVED",
        ("geometry/test_pursuit.py::test_a_target_neither_inside_nor_outside_is_not_decided",),
    ),
    Mutant(
        "infeasible read as a bound", "what a solution leaves over", "geometry/pursuit.py",
        "outcome[(outcome == Outcome.SOLVED) & (residual > FIT)] = Outcome.UNDECIDED",
        "outcome[(outcome == Outcome.SOLVED) & (residual > np.inf)] = Outcome.UNDECIDED",
        ("geometry/test_pursuit.py::test_a_solution_that_does_not_fit_is_not_decided",),
    ),
    Mutant(
        "infeasible read as a bound", "status of the solver", "geometry/pursuit.py",
        "if result.status != 0:",
        "if result.status is None:",
        ("geometry/test_pursuit.py::test_one_hard_program_leaves_the_others_decided",
         "geometry/test_regions.py::test_a_program_without_an_answer_is_not_a_bound"),
    ),
    Mutant(
        "infeasible read as a bound", "value where there is no column", "geometry/pursuit.py",
        "        value[unknown] = np.nan\n",
        "",
        ("geometry/test_pursuit.py::test_without_columns_only_nothing_can_be_made",),
    ),
    Mutant(
        "infeasible read as a bound", "status of a region", "geometry/regions/bounds.py",
        "[Status.BOUNDED, Status.INFEASIBLE, Status.UNDECIDED]",
        "[Status.BOUNDED, Status.BOUNDED, Status.UNDECIDED]",
        ("geometry/test_regions.py::test_bounds_are_those_of_brute_force[widths0-identity]",),
    ),
    Mutant(
        "infeasible read as a bound", "bound of a region", "geometry/regions/bounds.py",
        "bound[part] = xi * solutions.value",
        "bound[part] = xi * np.nan_to_num(solutions.value)",
        ("geometry/test_regions.py::test_bounds_are_those_of_brute_force[widths0-identity]",),
    ),
]  # fmt: skip
