"""What could hand on a result that is another's, hide a counterexample or leave a claim unrun, and the tests that notice it."""

from bthcheck.tests.mutation import Mutant

KEPT = "training/test_kept.py"
KEYS = "training/test_kept_keys.py"
ONE_KEY = f"{KEYS}::test_no_two_calls_have_one_key"
SCHEDULE = "harness/test_schedule.py"

MUTANTS_OF_WHAT_IS_KEPT = [
    Mutant(
        "kept results", "arguments in the key", "training/kept.py", '"arguments": content,', '"arguments": None,', (ONE_KEY,),
    ),
    Mutant(
        "kept results", "type of an array in the key", "training/contents.py",
        'return ["array", value.dtype.str,', 'return ["array",', (ONE_KEY,),
    ),
    Mutant(
        "kept results", "coordinates in the key", "training/contents.py",
        'for name, variable in variables.items()\n    ]\n    more',
        'for name, variable in variables.items() if name not in value.coords\n    ]\n    more',
        (ONE_KEY,),
    ),
    Mutant(
        "kept results", "code of one's own in the key", "training/kept.py", "texts.append(found.digest)", "texts.append(None)",
        (f"{KEYS}::test_a_function_of_one_s_own_is_known_by_all_it_imports_and_the_whole_package",),
    ),
    Mutant(
        "kept results", "the package in the key of one's own", "training/kept.py", "code.package_digest()}", '"the same"}',
        (f"{KEYS}::test_a_function_of_one_s_own_is_known_by_all_it_imports_and_the_whole_package",),
    ),
    Mutant(
        "kept results", "versions of libraries in the key", "training/kept.py",
        '"libraries": library_versions(RESULT_LIBRARIES),', "",
        (f"{KEYS}::test_code_libraries_and_processor_are_in_the_key",),
    ),
    Mutant(
        "kept results", "a counterexample is kept", "training/kept.py",
        'if description is not None and getattr(result, "lasting", True):', "if description is not None:",
        (f"{KEPT}::test_a_search_that_found_nothing_is_read_with_all_its_cases_and_a_counterexample_is_searched_anew",),
    ),
    Mutant(
        "kept results", "what is returned at first", "training/kept.py",
        'return decoded(facts["result"], arrays, kind)  # as it is read, to the order of its numbers in memory', "pass",
        (f"{KEPT}::test_what_is_read_is_what_was_computed",),
    ),
    Mutant(
        "kept results", "type of a number that is read", "training/contents.py",
        "return arrays[content][()]", "return arrays[content].item()",
        (f"{KEPT}::test_what_is_read_is_what_was_computed",),
    ),
    Mutant(
        "kept results", "how many were read", "harness/session.py", "len(found - computed), len(computed))",
        "len(found), len(computed))",
        ("harness/test_session.py::test_a_result_that_one_computed_and_others_read_was_computed",),
    ),
    Mutant(
        "order of claims", "longest first", "harness/schedule.py",
        "key=lambda index: -weights[collected[index]]", "key=lambda index: weights[collected[index]]",
        (f"{SCHEDULE}::test_the_longest_begin_first_and_everything_runs_once",),
    ),
    Mutant(
        "order of claims", "no more workers than cores", "harness/schedule.py",
        "active = self.nodes[: self._workers]", "active = self.nodes",
        (f"{SCHEDULE}::test_any_number_of_claims_on_any_number_of_workers[7-2]",),
    ),
    Mutant(
        "order of claims", "a worker that crashes", "harness/schedule.py",
        "if node in at_work or len(at_work) < self._workers:", "if node in at_work:",
        (f"{SCHEDULE}::test_a_worker_that_crashes_is_replaced_by_one_that_stood_by[0]",),
    ),
    Mutant(
        "searches", "constants of whatever modules are loaded", "evidence/search.py",
        "if hasattr(kind, name):", "if False:",
        ("evidence/test_search.py::test_a_search_does_not_depend_on_which_modules_are_loaded",),
    ),
]  # fmt: skip
