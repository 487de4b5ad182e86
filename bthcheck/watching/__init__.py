"""The statistics of this package for any PyTorch training loop; `bthcheck.watch` begins.

``bthcheck.watching.watch`` is a module, which a name that is handed on cannot hide.
"""

from typing import TYPE_CHECKING

from bthcheck import faces

if TYPE_CHECKING:
    from bthcheck.watching.labelled import by_epoch, merged
    from bthcheck.watching.reading import Reading
    from bthcheck.watching.watch import Watch, unwatch

__all__ = ["Reading", "Watch", "by_epoch", "merged", "unwatch"]

__getattr__ = faces.handing_on(
    __name__,
    {
        "Reading": "bthcheck.watching.reading",
        "Watch": "bthcheck.watching.watch",
        "by_epoch": "bthcheck.watching.labelled",
        "merged": "bthcheck.watching.labelled",
        "unwatch": "bthcheck.watching.watch",
    },
)
