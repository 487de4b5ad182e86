"""Plain text as LaTeX that shows it as it is, whichever engine sets it."""

import unicodedata
from collections.abc import Iterable, Sequence

from bthcheck.text import one_line

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "-": "-{}",
}  # fmt: skip
_MATH = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "η": r"\eta", "θ": r"\theta",
    "λ": r"\lambda", "μ": r"\mu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi",
    "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega", "Δ": r"\Delta", "Σ": r"\Sigma", "Π": r"\Pi", "Φ": r"\Phi", "Ψ": r"\Psi",
    "Ω": r"\Omega", "ℓ": r"\ell", "∂": r"\partial", "∇": r"\nabla", "‖": r"\|", "≤": r"\le", "≥": r"\ge", "×": r"\times",
    "±": r"\pm", "−": "-", "√": r"\surd", "→": r"\to", "∞": r"\infty", "·": r"\cdot", "≈": r"\approx", "≠": r"\ne",
    "∈": r"\in", "½": r"\frac{1}{2}", "ᵀ": r"^{\top}",
}  # fmt: skip
_TEXT = {
    "–": "--", "—": "---", "…": r"\ldots{}", "“": "``", "”": "''", "‘": "`", "’": "'", "\u00a0": "~",
}  # fmt: skip
PREAMBLE = r"""\documentclass{article}
\usepackage{iftex}
\ifPDFTeX\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp}\else\usepackage{fontspec}\fi
\usepackage[margin=2.5cm]{geometry}
\usepackage{array,longtable}
"""


def escape(text: str) -> str:
    """Return LaTeX that shows a text on one line: no character of it is a command, an argument, a comment or mathematics.

    Greek letters and signs of mathematics become commands, which any engine and font has; accented Latin letters stay, and any
    other character is named by its number, as ``U+2603``.
    """
    return "".join(map(_character, one_line(text)))


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _MATH:
        return rf"\ensuremath{{{_MATH[character]}}}"
    if character in _TEXT:
        return _TEXT[character]
    if character.isascii() or "\u00c0" <= character <= "\u017f":
        return character
    kind, _, base = unicodedata.decomposition(character).partition(" ")
    if kind in ("<sub>", "<super>") and len(base) == 4:
        plain = chr(int(base, 16)).replace("\u2212", "-")
        command = "_" if kind == "<sub>" else "^"
        return rf"\ensuremath{{{command}{{{plain}}}}}" if plain.isascii() else _named(character)
    return _named(character)


def _named(character: str) -> str:
    return rf"\texttt{{U+{ord(character):04X}}}"


def items(texts: Iterable[str]) -> str:
    """Return a list of plain texts."""
    lines = "\n".join(rf"\item {{}}{escape(text)}" for text in texts)  # {} for a text that begins with a bracket
    return f"\\begin{{itemize}}\n{lines}\n\\end{{itemize}}\n"


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
    """Return the share of a line that each column has: the more, the longer its cells, so that few need many lines."""
    longest = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    sizes = [max(6.0, length) ** 0.7 for length in longest]
    return [0.9 * size / sum(sizes) for size in sizes]


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain text, which may be longer than a page."""
    rows = [list(row) for row in rows]
    form = " ".join(rf">{{\raggedright\arraybackslash}}p{{{width:.3f}\linewidth}}" for width in _widths(columns, rows))
    lines = [" & ".join(f"{{}}{escape(cell)}" for cell in row) + r" \\" for row in rows]
    head = " & ".join(rf"\textbf{{{escape(name)}}}" for name in columns) + r" \\ \hline\noalign{\smallskip} \endhead"
    lines = [
        r"{\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\begin{{longtable}}{{{form}}}",
        rf"\multicolumn{{{len(columns)}}}{{l}}{{{escape(caption)}}} \\",
        head,
        *lines,
        r"\end{longtable}}",
        "",
    ]
    return "\n".join(lines)


def document(title: str, body: Iterable[str]) -> str:
    """Return a whole document; `title` is plain text, `body` is LaTeX."""
    head = rf"\title{{{escape(title)}}}" + "\n" + r"\author{}\date{}"
    return f"{PREAMBLE}{head}\n\\begin{{document}}\n\\maketitle\n\n" + "\n".join(body) + "\n\\end{document}\n"
