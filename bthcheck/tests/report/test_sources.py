"""Where claims stand in the report, and which figures of the paper they reproduce."""

import re

import pytest

from bthcheck.report import sources
from bthcheck.report.sources import APPENDIX, FIGURES, GROUPS, Item, anchor, gallery, group_of, grouped, remark


def claim(id, source, *captions, family="paper"):
    figures = [{"path": f"figures/{id}-{number}.svg", "caption": text} for number, text in enumerate(captions, 1)]
    return {"claim": {"id": id, "source": source, "family": family}, "status": "supported", "figures": figures}


PLACES = {
    "Lemma 1, lower bound as printed": "theorems", "Theorem 1, Fig. 1b": "theorems", "Product of norms": "theorems",
    "Discussion of Theorem 3": "theorems", "Fig. 1a": "figures", "Figure 7": "figures", "Appendix, batch size": "appendix",
    "Appendix, batch size (not in the paper: the learning rate)": "appendix", "Scope of Theorem 1 (not in the paper)": "scope",
    "Lemma 1, repaired (not in the paper)": "scope", "The authors' released code (not in the paper)": "code",
    "Our own report, Table 3": "other", "": "other",
}  # fmt: skip


def test_a_source_says_where_a_claim_stands():
    assert {source: group_of(claim("A", source)) for source in PLACES} == PLACES
    assert group_of(claim("A", "Theorem 1", family="extensions")) == "extensions"


def test_parts_are_in_the_papers_order():
    given = [claim(id, source) for id, source in (
        ("T10", "Theorem 1"), ("T2", "Theorem 1"), ("C", "Corollary 2, Fig. 2a"), ("L", "Lemma 1"), ("X", "elsewhere"),
        ("F", "Fig. 1d"), ("D", "Fig. 1a"), ("P", "Theorem 2, Fig. 6"),
    )]  # fmt: skip
    found = grouped([*given, claim("E10", "Theorem 1", family="extensions"), claim("E9", "Corollary 1", family="extensions")])
    assert [(name, [row["claim"]["id"] for row in rows]) for name, rows in found] == [
        ("theorems", ["L", "T2", "T10", "C", "P"]), ("figures", ["D", "F"]), ("other", ["X"]), ("extensions", ["E9", "E10"]),
    ]  # fmt: skip
    assert set(sources.ABOUT) <= set(GROUPS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(Fig. 1a)", True),
        ("Fig. 1ab", False),
        ("Fig. 1a.", True),
        ("Fig. 1a.2", False),
        ("Theorem 1, Fig. 1a", True),
        ("", False),
    ],
)
def test_a_name_is_not_the_beginning_of_another(text, named):
    assert Item("Fig. 1a", "").named_in(text) == named


def test_the_gallery_has_every_figure_of_the_paper_once():
    rows = [
        claim("T1", "Theorem 1, Fig. 1b", "Something else.", "Trajectory (Fig. 1b)."),
        claim("T3", "Fig. 1a", "Loss, which says nothing of its number."),
        claim("S", "Fig. 1c (not in the paper)", "Not the paper's (Fig. 1c)."),
        claim("E", "Fig. 1d", "Not the paper's (Fig. 1d).", family="extensions"),
        claim("C", "The authors' released code", "Compare Fig. 1e."),
        claim("T7", "Appendix, MNIST architectures", "One.", "Two."),
        claim("T8-scaled", "Appendix, batch size (not in the paper: the learning rate)", "Three."),
        claim("T4", "Fig. 1f"),
    ]
    found = {shown.item.name: [figure["caption"] for _, figure in shown.drawn] for shown in gallery(rows)}
    assert list(found) == [item.name for item in (*FIGURES, *APPENDIX)]
    assert {name: captions for name, captions in found.items() if captions} == {
        "Fig. 1a": ["Loss, which says nothing of its number."],
        "Fig. 1b": ["Trajectory (Fig. 1b)."],
        "Appendix, MNIST architectures": ["One.", "Two."],
    }


def test_every_figure_of_the_paper_is_reproduced_by_a_claim_that_there_is():
    """So that what the gallery is to show cannot go missing by a change of a source."""
    from bthcheck.cli.statements import statements
    from bthcheck.harness.paper import claims_folder

    known = statements(claims_folder()).values()
    for item in (*sources.STATEMENTS, *FIGURES, *APPENDIX):
        assert any(item.named_in(statement.source) for statement in known), item.name
    placed = {group_of(claim(one.id, one.source)) for one in known}
    assert "other" not in placed - {"extensions"} or not [
        one.id for one in known if group_of(claim(one.id, one.source)) == "other" and not one.id.startswith("E")
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("Theorem 1, Fig. 1b", ""), ("Lemma 1, lower bound", " (lower bound)"),
        ("Theorem 3 as printed", " (a counterexample to what is printed)"),
        ("Corollary 2, as a chain", " (as a chain)"), ("Theorem 2 at fixed weights, Fig. 6", " (at fixed weights)"),
        ("Discussion of Theorem 3", " (its discussion)"), ("Appendix, batch size", ""),
    ],
)  # fmt: skip
def test_what_a_claim_is_about_of_a_theorem(source, said):
    assert remark(claim("A", source)) == said


def test_a_figure_of_one_seed_says_so_in_its_caption():
    assert sources.of_one_seed("Seed 0 after 1000 epochs: 543 regions.")
    assert sources.of_one_seed("Images of seed 3.")
    assert not sources.of_one_seed("Every seed is a line, of 10 seeds.")


def test_an_anchor_is_an_identifier():
    assert anchor("figures/T1-CIFAR-2.svg") == "figure-T1-CIFAR-2"
    assert re.fullmatch(r"[\w-]+", anchor('figures/a.b "c-1.svg'))
