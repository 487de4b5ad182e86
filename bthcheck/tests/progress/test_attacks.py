"""How far attacks are, in a line."""

from bthcheck.progress.attacks import line

PLAN = {"event": "plan", "at": 0.0, "attacks": 4, "share": 100.0}


def heard(id, at, examples, seconds, ended=False):
    return {"event": "attack", "id": id, "at": at, "examples": examples, "seconds": seconds, "ended": ended}


def test_nothing_is_said_before_and_after():
    assert line([], 1.0) == ""
    assert line([PLAN], 1.0) == ""
    assert line([heard("X1", 1.0, 5, 1.0)], 1.0) == ""  # whose plan was lost
    assert line([PLAN, heard("X1", 1.0, 5, 1.0), heard("X1", 2.0, 9, 2.0, ended=True)], 3.0) == ""


def test_the_time_left_is_that_of_the_shares_that_are_left():
    events = [PLAN, heard("X1", 10.0, 50, 10.0), heard("X1", 40.0, 200, 40.0), heard("X2", 20.0, 70, 20.0, ended=True)]
    # 100 − 40 − 20 of X1, and two that have not begun, one after the other.
    assert line(events, 60.0) == "attacking X1: 1 of 4 done, 270 examples, about 4 min left"
    two = [*events, heard("X5", 60.0, 30, 20.0)]
    assert line(two, 60.0) == "attacking X1, X5: 1 of 4 done, 300 examples, about 2 min left"  # (40 + 80 + 100) / 2


def test_a_line_has_room():
    events = [PLAN, heard("X1", 1.0, 5, 1.0)]
    assert len(line(events, 1.0, 30)) == 30
    assert line(events, 1.0, encoding="ascii").isascii()
