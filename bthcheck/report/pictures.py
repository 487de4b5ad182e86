"""Figures as a part of the page: the SVG of a file without what a page need not have, and without what could do something.

Only elements and attributes that draw are kept, whoever wrote the file; identifiers are told apart from those of other figures,
and glyphs, which most figures share, stand in the page once.
"""

import hashlib
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_ELEMENTS = {
    "svg", "g", "defs", "path", "use", "rect", "circle", "ellipse", "line", "polyline", "polygon", "clipPath", "image", "text",
    "tspan", "title", "desc", "linearGradient", "radialGradient", "stop", "pattern", "mask", "symbol",
}  # fmt: skip
_ATTRIBUTES = {
    "id", "d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "points", "transform", "style",
    "fill", "stroke", "clip-path", "clip-rule", "fill-rule", "viewBox", "preserveAspectRatio", "offset", "opacity", "mask",
    "gradientUnits", "gradientTransform", "clipPathUnits", "patternUnits", "font-size", "font-family", "text-anchor",
}  # fmt: skip
_LONG = re.compile(r"-?\d+\.\d{3,}(?![\d]*e)")
_REFERENCE = re.compile(r"url\(\s*#([^)\s]+)\s*\)")
_PICTURE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=\s]*")
_GLYPH = re.compile(r"scale\(0?\.015625\)")
"""By what Matplotlib scales the outlines of a font."""
_DIGITS = 2  # after the point: a hundredth of a point, where a figure has 300
_GLYPH_DIGITS = 0  # glyphs have coordinates in the thousands


@dataclass
class Pictures:
    """The figures of one page, read from a folder.

    glyphs : identifier → path, of those that the figures so far use
    """

    folder: Path
    glyphs: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def inline(self, path: str, label: str, drawn_as: str = "") -> str:
        """Return a figure as an SVG element that may stand in a page; empty where the file is gone or is none.

        Parameters
        ----------
        label : what the figure shows, for those who do not see it
        drawn_as : the identifier of the element, by which a page can show it a second time
        """
        try:
            content = (self.folder / path).read_bytes()
        except OSError:
            return ""
        return self.of(content, label, drawn_as)

    def of(self, content: bytes, label: str, drawn_as: str = "") -> str:
        """Return the contents of an SVG file as `inline` returns a file."""
        try:
            return self._element(ElementTree.fromstring(content), label, drawn_as)
        except (ElementTree.ParseError, ValueError):
            return ""

    def again(self, path: str, label: str, drawn_as: str) -> str:
        """Return an element that shows a figure of the page a second time; empty where `inline` would be.

        Parameters
        ----------
        drawn_as : the identifier that the figure has, or will have, in the page
        """
        try:
            root = ElementTree.fromstring((self.folder / path).read_bytes())
            box = _box(root)
        except (OSError, ElementTree.ParseError, ValueError):
            return ""
        width, height = box.split()[2:]
        use = f'<use href="#{_escaped(drawn_as)}" width="{width}" height="{height}"/>'
        return f'<svg viewBox="{box}" role="img" aria-label="{_escaped(label)}">{use}</svg>'

    def shared(self) -> str:
        """Return the glyphs of all figures so far, as the contents of an element ``defs``."""
        return "".join(f'<path id="{name}" d="{d}" transform="scale(.015625)"/>' for name, d in self.glyphs.items())

    def _element(self, root: ElementTree.Element, label: str, drawn_as: str) -> str:
        box = _box(root)
        self._count += 1
        names = self._names(root)
        own = f' id="{_escaped(drawn_as)}"' if drawn_as else ""
        inner = "".join(self._written(child, names) for child in root)
        return f'<svg{own} viewBox="{box}" role="img" aria-label="{_escaped(label)}">{inner}</svg>'

    def _names(self, root: ElementTree.Element) -> dict[str, str]:
        """Return identifier in the file → identifier in the page; glyphs are put with those that figures share."""
        names: dict[str, str] = {}
        uses = {_target(element) for element in root.iter(f"{_SVG}use")}
        clips = {found for element in root.iter() for value in element.attrib.values() for found in _REFERENCE.findall(value)}
        for element in root.iter():
            name = element.get("id")
            if name is None or name not in uses | clips:
                continue
            if element.tag == f"{_SVG}path" and name in uses and _GLYPH.fullmatch(element.get("transform", "")):
                d = _short(element.get("d", ""), _GLYPH_DIGITS)
                names[name] = "g" + hashlib.sha256(d.encode()).hexdigest()[:10]
                self.glyphs[names[name]] = _escaped(d)
                continue
            names[name] = f"f{self._count}-{len(names)}"
        return names

    def _written(self, element: ElementTree.Element, names: dict[str, str]) -> str:
        tag = element.tag.removeprefix(_SVG) if isinstance(element.tag, str) else ""
        if tag not in _ELEMENTS or (tag == "path" and names.get(element.get("id", "")) in self.glyphs):
            return ""
        attributes = []
        for key, value in element.attrib.items():
            name = key.removeprefix(_XLINK)
            if name == "href" and key in (f"{_XLINK}href", "href"):
                if value.startswith("#") and value[1:] in names:
                    attributes.append(f'href="#{names[value[1:]]}"')
                elif tag == "image" and _PICTURE.fullmatch(value):
                    attributes.append(f'href="{"".join(value.split())}"')
            elif name == "id":
                if value in names:
                    attributes.append(f'id="{names[value]}"')
            elif name in _ATTRIBUTES:
                attributes.append(f'{name}="{_escaped(_values(name, value, names))}"')
        inner = "".join(self._written(child, names) for child in element)
        text = _escaped(element.text.strip()) if element.text and tag in ("text", "tspan", "title", "desc") else ""
        if tag in ("g", "defs", "clipPath", "text", "tspan") and not inner and not text:
            return ""
        if tag == "g" and not attributes:
            return inner
        opened = " ".join([tag, *attributes])
        return f"<{opened}>{text}{inner}</{tag}>" if inner or text else f"<{opened}/>"


def _box(root: ElementTree.Element) -> str:
    """Return the view box of a figure, four numbers; ValueError if it is no SVG that has one."""
    box = _short(root.get("viewBox", ""), _DIGITS).replace(",", " ").split()
    if root.tag != f"{_SVG}svg" or len(box) != 4 or not all(float(number) == float(number) for number in box):
        raise ValueError("it is no SVG with a view box")
    return " ".join(box)


def _values(name: str, value: str, names: dict[str, str]) -> str:
    if name == "style":
        value = ";".join(part.strip().replace(": ", ":") for part in value.split(";") if _harmless(part))
    value = _REFERENCE.sub(lambda found: f"url(#{names.get(found[1], 'none')})", value)
    if "url(" in value and not re.fullmatch(r"[^()]*(url\(#[\w-]+\)[^()]*)*", value):
        return ""
    return " ".join(_short(value, _DIGITS).split()) if name in ("d", "points", "transform", "x", "y", "style") else value


def _harmless(part: str) -> bool:
    """Whether a declaration of a style draws, fetches nothing, and is not what a browser takes for granted."""
    if not part.strip() or "url(" in part.replace("url(#", "") or "@" in part or "\\" in part:
        return False
    return part.strip() not in ("stroke-linejoin: miter", "stroke-width: 1")


def _short(text: str, digits: int) -> str:
    """Return a text with its long numbers rounded."""

    def rounded(found: re.Match[str]) -> str:
        return _trimmed(f"{float(found[0]):.{digits}f}")

    return " ".join(_LONG.sub(rounded, text).split())


def _trimmed(text: str) -> str:
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _target(element: ElementTree.Element) -> str:
    return (element.get(f"{_XLINK}href") or element.get("href") or "").removeprefix("#")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
