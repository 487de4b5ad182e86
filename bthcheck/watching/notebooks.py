"""Figures that are drawn again in a notebook."""

import io
from typing import Any

from matplotlib.figure import Figure


class NotebookDisplay:
    """A place in the output of a notebook's cell; given pictures, because figures are shown only where pyplot is loaded."""

    def __init__(self, handle: Any, image: Any) -> None:
        self._handle, self._image = handle, image

    def display(self, figure: Figure) -> None:
        """Show a figure in the output of this cell."""
        self._handle.display(self._picture(figure))

    def update(self, figure: Figure) -> None:
        """Show another in its place."""
        self._handle.update(self._picture(figure))

    def _picture(self, figure: Figure) -> Any:
        content = io.BytesIO()
        figure.savefig(content, format="png", bbox_inches="tight")
        return self._image(data=content.getvalue(), format="png")


def notebook_display() -> NotebookDisplay:
    """Return a place in the output of the notebook's cell.

    Raises
    ------
    ValueError
        Outside of a notebook.
    """
    try:
        from IPython import get_ipython
        from IPython.display import DisplayHandle, Image
    except ImportError:
        raise ValueError("live=True draws in a notebook, and IPython is not installed") from None
    if get_ipython() is None:
        raise ValueError("live=True draws in a notebook; elsewhere plot() returns the figure")
    return NotebookDisplay(DisplayHandle(), Image)
