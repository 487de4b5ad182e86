"""What a terminal that does not have every character is shown: the escape of what it does not have."""

import io
import sys
from typing import Any, TextIO


class Escaping(io.TextIOBase):
    """A stream of text in ASCII. click, which takes ASCII for a mistake, would write UTF-8 to one that has a buffer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        """ASCII, or what is the same by another name."""
        return self._stream.encoding

    @property
    def errors(self) -> Any:  # type: ignore[override]
        """What becomes of other characters."""
        return "backslashreplace"

    def write(self, text: str) -> int:
        """Write text, with escapes."""
        if not isinstance(text, str):
            raise TypeError(f"text is written, got {type(text).__name__}")
        return self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))

    def flush(self) -> None:
        """Hand on what was written."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of the file."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True


def escape() -> None:
    """Have the standard streams show the escapes of characters that they do not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if "é".encode(stream.encoding, "replace") == b"?" and "λ".encode(stream.encoding, "replace") == b"?":
                setattr(sys, name, Escaping(stream))


def restore() -> None:
    """Give the standard streams back to who knows what to do with them."""
    for name in ("stdout", "stderr"):
        if isinstance(getattr(sys, name), Escaping):
            setattr(sys, name, getattr(sys, f"__{name}__"))
