"""The statistics of this package for any PyTorch training loop."""

from typing import TYPE_CHECKING

from bthcheck import faces

if TYPE_CHECKING:
    from bthcheck.watching.labelled import by_epoch, merged
    from bthcheck.watching.reading import Reading
    from bthcheck.watching.watch import Watch, unwatch, watch

__all__ = ["Reading", "Watch", "by_epoch", "merged", "unwatch", "watch"]

__getattr__ = faces.handing_on(
    __name__,
    {
        "Reading": "bthcheck.watching.reading",
        "Watch": "bthcheck.watching.watch",
        "by_epoch": "bthcheck.watching.labelled",
        "merged": "bthcheck.watching.labelled",
        "unwatch": "bthcheck.watching.watch",
        "watch": "bthcheck.watching.watch",
    },
)
