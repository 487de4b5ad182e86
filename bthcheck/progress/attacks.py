"""The line that says how far attacks are, from what the processes of a session have said: a pure function of events and time.

Events are mappings with `event`, `at` (seconds of a clock that all processes share) and

plan    `attacks`, how many there are, and `share`, the seconds of each; every process says the same
attack  `id`, `examples` so far, `seconds` since it began, and whether it has `ended`
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bthcheck.progress.wording import duration
from bthcheck.text import cut, shown


def line(events: Iterable[Mapping[str, Any]], now: float, width: int | None = None, encoding: str | None = None) -> str:
    """Return how far they are, as "attacking X5, X6: 3 of 16 done, 12345 examples, about 4 min left"; empty if none is at work.

    The time left is that of shares which are not used up, over as many processes as are at work.

    Parameters
    ----------
    width : columns of the terminal; None for a line of any length
    encoding : of the terminal
    """
    plan: Mapping[str, Any] | None = None
    heard: dict[str, Mapping[str, Any]] = {}
    for event in sorted(events, key=lambda event: event["at"]):
        if event["event"] == "plan":
            plan = event
        elif event["event"] == "attack":
            heard[event["id"]] = event
    at_work = {id: event for id, event in heard.items() if not event["ended"]}
    if plan is None or not at_work:
        return ""
    share = plan["share"]
    left = sum(max(0.0, share - event["seconds"] - (now - event["at"])) for event in at_work.values())
    left += share * max(0, plan["attacks"] - len(heard))
    examples = sum(event["examples"] for event in heard.values())
    done = f"{len(heard) - len(at_work)} of {plan['attacks']} done"
    text = f"attacking {', '.join(at_work)}: {done}, {examples} examples, {duration(left / len(at_work))} left"
    text = shown(text, encoding)
    return text if width is None else cut(text, width)
