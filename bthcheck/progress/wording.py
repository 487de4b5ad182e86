"""The line that says how far training is."""

from bthcheck.progress.estimate import Estimate
from bthcheck.text import columns, cut, one_line, shown

_LEAST = 20  # columns, in which it is worth naming an experiment of several


def line(estimate: Estimate, names: dict[str, str], width: int | None = None, encoding: str | None = None) -> str:
    """Return how far training is, as "training sinusoids: 12 of 40 runs (31 %), about 4 min left"; empty if nothing is trained.

    Where an executor's workers train, "training sinusoids on 8 workers: …".

    Of several experiments it is their number, and how far each is behind the rest, as far as there is room.

    Parameters
    ----------
    names : key of an experiment → how it is called
    width : columns of the terminal; None for a line of any length
    encoding : of the terminal
    """
    if not estimate.is_training:
        return ""
    own = estimate.experiments
    done, total = sum(one.done for one in own), sum(one.total for one in own)
    share = sum(one.share * one.total for one in own) / max(1, total)
    left = f", {duration(estimate.seconds)} left" if estimate.seconds is not None else ""
    how_far = f"{done} of {total} runs ({min(99, int(100 * share))} %){left}"
    on = "" if estimate.workers is None else f" on {estimate.workers} worker{'s' * (estimate.workers != 1)}"
    if len(own) == 1:
        forms = [f"training {one_line(names.get(own[0].key, ''))}{on}: {how_far}"]
    else:
        each = ", ".join(f"{one_line(names.get(one.key, ''))} {one.done} of {one.total}" for one in own)
        forms = [f"training {len(own)} experiments{on}: {how_far}: {each}"]
        forms += [cut(forms[0], width)] if width is not None and columns(forms[0][: -len(each)]) + _LEAST <= width else []
    forms += [f"training{on}: {how_far}", f"training: {done} of {total} runs{left}"]
    forms = [shown(form, encoding) for form in forms]
    return forms[0] if width is None else cut(next((form for form in forms if columns(form) <= width), forms[-1]), width)


def duration(seconds: float) -> str:
    """Return a time as one says it, no more exactly than it is known."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    if minutes < 6 * 60:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"about {hours} h {rest} min" if rest else f"about {hours} h"
    if minutes < 48 * 60:
        return f"about {round(minutes / 60)} h"
    return f"about {round(minutes / 1440)} days"
