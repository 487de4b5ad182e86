"""What could lose a run on an executor's workers, train it twice, or take a wrong one for it, and the tests that notice."""

from bthcheck.tests.mutation import Mutant

DISPATCH = "training/test_dispatch.py"
WORKERS = "training/test_workers.py"

MUTANTS_OF_DISPATCH = [
    Mutant(
        "dispatch", "code of a worker", "training/remote.py",
        'if found["code"] != expected:',
        "if False:",
        (f"{WORKERS}::test_a_worker_trains_nothing_for_other_code",),
    ),
    Mutant(
        "dispatch", "code of one's own at a worker", "training/remote.py",
        "if found is not None and found != digest:",
        "if False:",
        (f"{WORKERS}::test_other_code_of_ones_own_is_refused_by_the_worker",),
    ),
    Mutant(
        "dispatch", "file of images at a worker", "training/remote.py",
        "if found != digest:\n            return f\"has another file",
        "if False:\n            return f\"has another file",
        (f"{WORKERS}::test_another_file_of_images_is_refused_by_the_worker",),
    ),
    Mutant(
        "dispatch", "name that a worker's runs are kept under", "training/desk.py",
        'return {**self.descriptions[index], "libraries": worker["libraries"], "machine": worker["machine"]}',
        "return self.descriptions[index]",
        (f"{WORKERS}::test_another_processor_is_said_and_its_runs_are_kept_as_its_own",),
    ),
    Mutant(
        "dispatch", "names that runs are looked for under", "training/desk.py",
        "self.keys[index] = list(dict.fromkeys([self.keys[index][0], *own]))",
        "self.keys[index] = self.keys[index][:1]",
        (f"{WORKERS}::test_another_processor_is_said_and_its_runs_are_kept_as_its_own",),
    ),
    Mutant(
        "dispatch", "lock of a run that is sent", "training/desk.py",
        "locks.push(mine.pop_all())",
        "mine.close()",
        (f"{DISPATCH}::test_the_lock_of_a_run_is_held_as_long_as_a_worker_is_at_it",),
    ),
    Mutant(
        "dispatch", "form of what comes back", "training/dispatch.py",
        "self.desk.forms[self.desk.runs[index].level].check(result)",
        "pass",
        (f"{DISPATCH}::test_what_fails_once_is_sent_again[other parameters]",),
    ),
    Mutant(
        "dispatch", "a run that failed once", "training/dispatch.py",
        "_TRIES = 2",
        "_TRIES = 3",
        (f"{DISPATCH}::test_what_fails_twice_ends_the_call_with_a_sentence[failed]",),
    ),
    Mutant(
        "dispatch", "tasks that are out", "training/dispatch.py",
        "AHEAD = 2",
        "AHEAD = 5",
        (f"{DISPATCH}::test_no_more_tasks_are_out_than_two_a_worker",),
    ),
    Mutant(
        "dispatch", "runs that are in training", "training/dispatch.py",
        "else self._flights[: self._count]:",
        "else self._flights:",
        (f"{DISPATCH}::test_as_many_are_said_to_be_in_training_as_there_are_workers",),
    ),
    Mutant(
        "dispatch", "what others are at", "training/dispatch.py",
        "queued = not flight.begun or self.workers.is_queued(flight.future)",
        "queued = True",
        (f"{DISPATCH}::test_what_others_are_at_when_the_call_ends_is_kept",),
    ),
    Mutant(
        "dispatch", "tasks of whoever is interrupted", "training/dispatch.py",
        "[self.workers.cancel(future) for future in futures]",
        "None",
        (f"{DISPATCH}::test_ctrl_c_takes_back_what_has_not_begun",),
    ),
    Mutant(
        "dispatch", "lanes of an executor", "progress/estimate.py",
        "side_by_side if workers is None else min(side_by_side, workers)",
        "side_by_side",
        ("progress/test_estimate.py::test_the_time_left_counts_the_workers_whoever_sent_them_their_runs",),
    ),
]  # fmt: skip
