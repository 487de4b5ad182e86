"""What could lose a run, serve a wrong one, or let text out of its place, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

ENTRY = "faults/test_entries.py::test_a_changed_entry_is_noticed_or_the_same_numbers"
PLACE = "faults/test_entries.py::test_whatever_is_in_the_place_of_an_entry_or_a_lock_is_harmless"
HOSTILE = "faults/test_hostile.py"

MUTANTS_OF_FAULTS = [
    Mutant(
        "faults", "checksum of an entry", "training/cache.py",
        'if _digest(arrays, metadata["facts"]) != metadata["sha256"]:',
        "if False:",
        (f"{ENTRY}[bits flipped]",),
    ),
    Mutant(
        "faults", "key of an entry", "training/cache.py",
        'if facts["key"] != key:',
        "if False:",
        (f"{ENTRY}[swapped with another entry]",),
    ),
    Mutant(
        "faults", "form of an entry", "training/cache.py",
        "form.check(found)",
        "pass",
        (f"{ENTRY}[forged, with a checksum that is right]",),
    ),
    Mutant(
        "faults", "numbers that no run has", "training/cache.py",
        "if type(diverged) is not bool or not (diverged or finite) or not 0 <= seconds < np.inf:",
        "if False:",
        (f"{ENTRY}[forged, with a checksum that is right]",),
    ),
    Mutant(
        "faults", "what is in the place of a lock", "training/cache.py",
        "_clear(path, folder=False)",
        "pass",
        (f"{PLACE}[.lock-a link to itself]",),
    ),
    Mutant(
        "faults", "temporary files of the dead", "files.py",
        "return found is not None and found[\"place\"] == place() and not is_alive(int(found[\"pid\"]))",
        "return False",
        ("training/test_obtain.py::test_what_was_left_behind_by_the_dead_is_removed",),
    ),
    Mutant(
        "faults", "claims that were left out", "report/ending.py",
        'any(row["status"] == UNREPORTED for row in rows)',
        "False",
        ("report/test_ending.py::test_a_session_that_left_claims_out_was_interrupted[rows2-False-interrupted]",),
    ),
    Mutant(
        "text of others", "direction of a page", "report/page.py",
        'return visible(value, keep="\\n\\t") if type(value) is str else value',
        "return value",
        (f"{HOSTILE}::test_a_page_has_the_same_elements_whatever_text_is_in_it[right to left]",),
    ),
    Mutant(
        "text of others", "controls of a terminal", "text.py",
        "visible(text).encode",
        "text.encode",
        ("test_text.py::test_nothing_controls_the_terminal[ANSI]",),
    ),
    Mutant(
        "text of others", "labels that a legend leaves out", "figures/style.py",
        'if shown.startswith("_")',
        "if False",
        (f"{HOSTILE}::test_a_figure_is_well_formed_and_shows_its_levels[hidden]",),
    ),
]  # fmt: skip
