"""Figures that are drawn again in a notebook."""

from typing import Any


def notebook_display() -> Any:
    """Return a place in the output of the notebook's cell, with methods ``display`` and ``update``.

    Raises
    ------
    ValueError
        Outside of a notebook.
    """
    try:
        from IPython import get_ipython
        from IPython.display import DisplayHandle
    except ImportError:
        raise ValueError("live=True draws in a notebook, and IPython is not installed") from None
    if get_ipython() is None:
        raise ValueError("live=True draws in a notebook; elsewhere plot() returns the figure")
    return DisplayHandle()
