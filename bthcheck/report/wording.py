"""What is said of one claim, in words: never more than its verdict says."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from bthcheck.evidence.findings import CONDITION
from bthcheck.report.experiments import identity
from bthcheck.report.numbers import count, number, p_value
from bthcheck.report.records import STATUSES, has_changed, headline
from bthcheck.report.sources import Item

Row = Mapping[str, Any]
TAU = "mean within-seed Kendall τ"
"""The effect of every test of an order over seeds; see `bthcheck.evidence.trends`."""
CALM, GOOD, OPEN, WORSE = "known", "good", "open", "worse"
"""How loudly a verdict is shown: as on record and not supported; supported; to be looked at; worse than on record."""

_OF_ROUNDING = "; "
"""What follows it in the reason of an exact test is about rounding, and stands with the numbers."""


def tone(row: Row, *, placebo: bool = False) -> str:
    """Return how loudly the verdict of a claim is shown: only what has become worse, or broke, alarms.

    On a placebo that is what came out supported.
    """
    status, before = row["status"], row.get("on_record")
    if status in ("error", "crashed"):
        return WORSE
    if placebo:
        return WORSE if status == "supported" else CALM
    if status in ("skipped", "no verdict"):
        return OPEN if before is not None and status == "skipped" else CALM
    if before is not None and before in STATUSES and STATUSES.index(status) < STATUSES.index(before):
        return WORSE
    if has_changed(dict(row)):
        return OPEN
    if status == "supported":
        return GOOD
    return CALM if before == status else OPEN


def verdict_words(row: Row) -> str:
    """Return a claim's verdict as it is shown: with "as on record" where it is expected, and what is on record where not."""
    status, before = row["status"], row.get("on_record")
    if status == "supported" and before in (None, "supported"):
        return str(status)
    if before is None:
        return f"{status}, not on record" if row.get("verdict") else str(status)
    return f"{status}, as on record" if before == status else f"{status}, on record: {before}"


def orders(finding: Mapping[str, Any]) -> list[list[bool]] | None:
    """Return for every seed, and every pair of levels in it, whether the pair is in the stated order; a tie is not.

    None where it cannot be told: the finding is of another kind, or the report has no table of it.
    """
    table, expected = finding.get("table"), str(finding.get("expectation") or "")
    if finding.get("effect_name") != TAU or not table or not table["values"]:
        return None
    rows = table["values"]
    if any(value is None for row in rows for value in row):
        return None
    if expected.startswith(("increases", "decreases")):
        sign = 1 if expected.startswith("increases") else -1
    elif expected.endswith("order within seeds"):
        sign = 1 if "same" in expected else -1
        pairs = [sorted(zip(row[: len(row) // 2], row[len(row) // 2 :], strict=True)) for row in rows]
        rows = [[second for _, second in row] for row in pairs]
    else:
        return None
    return [[sign * (b - a) > 0 for a, b in combinations(row, 2)] for row in rows]


def in_seeds(finding: Mapping[str, Any]) -> str:
    """Return in how many seeds the stated order is, in words; empty where it cannot be told.

    "in every one of 10 seeds", "in 8 of 10 seeds"; of more than two levels "for 98 % of pairs of levels, all of them in 9 of 10
    seeds".
    """
    found = orders(finding)
    if found is None:
        return ""
    seeds = count(len(found), "seed")
    whole = sum(map(all, found))
    if whole == len(found):
        return f"in every one of {seeds}"
    if len(found[0]) == 1:
        return f"in {whole or 'none'} of {seeds}"
    share = 100 * sum(map(sum, found)) / sum(map(len, found))
    return f"for {share:.0f} % of pairs of levels, all of them in {whole or 'none'} of {seeds}"


def interval_words(finding: Mapping[str, Any]) -> str:
    """Return an effect with its interval in words: "mean Kendall τ 0.97, 95 % interval 0.90 to 1.00"; empty without one."""
    if finding.get("effect") is None:
        return ""
    name = {TAU: "mean Kendall τ"}.get(finding.get("effect_name") or "", finding.get("effect_name") or "effect")
    if finding.get("interval") is not None:
        low, high = finding["interval"]
        return f"{name} {finding['effect']:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    said = f"{name} {number(finding['effect'])}"
    if finding.get("spread") is not None and finding["spread"][0] != finding["spread"][1]:
        low, high = finding["spread"]
        said += (
            f", {'half of the' if (finding.get('cases') or 0) >= 8 else 'all'} cases between {number(low)} and {number(high)}"
        )
    return said


def sentence(row: Row) -> str:
    """Return the verdict of a claim in one sentence, with effect and interval in words.

    Of a claim of several tests it is the weakest that is spoken of, and said to be that. What has no verdict says why.
    """
    reason = str(row.get("reason") or "")
    if row["status"] != row.get("verdict"):
        return _ended(reason or f"there is no verdict: {row['status']}")
    return sentence_case(_ended(_of_verdict(row, reason)))


def _of_verdict(row: Row, reason: str) -> str:
    finding = headline(dict(row))
    tests = [f for f in row["findings"] if f.get("test") != CONDITION]
    effect = interval_words(finding)
    if any(f.get("test") == CONDITION and f["verdict"] != "supported" for f in row["findings"]):
        where = in_seeds(finding)
        order = f"{finding['quantity']} is in the stated order {where}" if where else ""
        beside = ", ".join(part for part in (order, effect) if part)
        return reason + (f"; without that condition nothing is concluded, though {beside}" if beside else "")
    if finding.get("effect_name") == TAU:
        text = _of_order(finding, in_seeds(finding), effect, row["verdict"])
    else:
        text = str(finding.get("reason") or reason).partition(_OF_ROUNDING)[0]
        if finding.get("test") == "counterexample" and finding["verdict"] == "supported":
            text = f"the counterexample was found: {text}"
        text = text if text.startswith(finding.get("quantity", "")) else f"{finding.get('quantity', '')}: {text}"
        text += f" ({effect})" if effect and row["status"] != "refuted" else ""
    if len(tests) < 2:
        return text
    agreeing = sum(f["verdict"] == row["verdict"] for f in tests)
    if row["verdict"] == "supported":
        every = "both" if len(tests) == 2 else f"all {len(tests)}"
        said = "the weakest says" if finding.get("p") is not None else "the first says"
        return f"{every} tests are supported; {said}: {text}"
    return f"{agreeing} of {len(tests)} tests {'is' if agreeing == 1 else 'are'} {row['verdict']}: {text}"


def _of_order(finding: Mapping[str, Any], where: str, effect: str, verdict: str) -> str:
    quantity, expected = finding["quantity"], finding.get("expectation") or "is in the stated order"
    if expected.endswith(" with condition"):  # of two arrays that are compared, which their name says
        expected = "is the larger, as stated," if expected.startswith("increases") else "is the smaller, as stated,"
    p = f"p = {p_value(finding.get('p'))} at level {number(finding.get('level'))}"
    if finding["verdict"] == "supported":
        return f"{quantity} {expected} {where} ({effect})" if where else f"{quantity} {expected} ({effect})"
    if finding["verdict"] == "refuted" and verdict != "refuted":
        share = f"p = {p_value(finding.get('p_opposite'))} against it, at a level that the tests of this claim share"
        return f"that {quantity} {expected} is not seen; significantly so in one test alone ({effect}, {share})"
    if finding["verdict"] == "refuted":
        return f"it is significantly not so that {quantity} {expected} ({effect})"
    if not effect:
        return str(finding.get("reason") or "")
    said = f"that {quantity} {expected} is seen {where}" if where else f"that {quantity} {expected} is not seen clearly"
    if finding.get("p") is not None and finding.get("level") is not None and finding["p"] <= finding["level"]:
        return f"{said}, by less than the stated minimum effect ({effect})"
    return f"{said}, which is not significant ({effect}, {p})"


def by_verdict(rows: Iterable[Row], item: Item) -> list[tuple[str, list[Row]]]:
    """Return the verdicts on a theorem or figure of the paper, each with its claims, the supported ones first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(filter(item.is_source_of, rows), key=lambda row: (-STATUSES.index(row["status"]), row["claim"]["id"])):
        found.setdefault(verdict_words(row), []).append(row)
    return list(found.items())


def seeds(rows: Iterable[Row], experiments: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return how many seeds some claims' experiments have, or their tests if these are not known: "10 seeds", "3 to 10 seeds".

    Empty where there are none.
    """
    counts = set(_seed_counts(rows, experiments))
    if len(counts) < 2:
        return "".join(count(n, "seed") for n in counts)
    return f"{min(counts)} to {max(counts)} seeds"


def usual_seeds(rows: Iterable[Row], experiments: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return how many seeds most claims have, and between which numbers the others': "10 in most claims, 1 to 280 in all"."""
    counts = _seed_counts(rows, experiments)
    if len(set(counts)) < 2:
        return "".join(map(str, set(counts)))
    return f"{Counter(counts).most_common(1)[0][0]} in most claims, {min(counts)} to {max(counts)} in all"


def _seed_counts(rows: Iterable[Row], experiments: Iterable[Mapping[str, Any]]) -> list[int]:
    known = {identity(entry["configuration"]): len(entry["configuration"]["seeds"]) for entry in experiments}
    counts: list[int] = []
    for row in rows:
        trained = [known[name] for name in row.get("experiments") or () if name in known]
        counts += trained or [f["blocks"] for f in row["findings"] if f.get("blocks")]
    return counts


def sentence_case(text: str) -> str:
    """Return a text with its first letter as that of a sentence; a symbol stays what it is."""
    return text[0].upper() + text[1:] if re.match(r"[a-z](?:[a-z]| [a-z])", text) else text


def how_tested(row: Row) -> list[tuple[str, str]]:
    """Return how a claim was tested, as (what, text): window, conditions, statistic, direction, minimum effect, level, data."""
    tests = [f for f in row["findings"] if f.get("test") != CONDITION]
    conditions = [f for f in row["findings"] if f.get("test") == CONDITION]

    def each(name: str) -> list[Any]:
        return list(dict.fromkeys(f[name] for f in tests if f.get(name) is not None))

    statistics = dict.fromkeys(
        f["test"] + (f"; effect: {f['effect_name']}" if f.get("effect_name") else "") for f in tests if f.get("test")
    )
    facts = [
        ("window and scope", row["claim"].get("scope") or ""),
        ("condition", _listed(f"{f['quantity']} {f.get('expectation') or ''}".strip() for f in conditions)),
        ("statistic", _listed(statistics)),
        ("direction", _listed(each("expectation"))),
        ("minimum effect", _listed(number(value) for value in each("minimum_effect"))),
        ("level", _listed(number(value) for value in each("level"))),
        ("data", _listed([*(count(n, "seed") for n in each("blocks")), *(count(n, "case") for n in each("cases"))][:6])),
    ]
    return [(name, text) for name, text in facts if text]


def further(row: Row) -> list[str]:
    """Return what tests say beyond the numbers in their table, and beyond the claim's own sentence, once each."""
    said = sentence(row)
    texts = []
    for finding in row["findings"]:
        reason = str(finding.get("reason") or "")
        plain_order = finding.get("effect_name") == TAU
        if not reason or reason in said or plain_order:
            continue
        quantity = finding["quantity"]
        texts.append(_ended(reason if reason.startswith(quantity) else f"{quantity}: {reason}"))
    return list(dict.fromkeys(texts))


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _ended(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
