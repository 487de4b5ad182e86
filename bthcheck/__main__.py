"""The command ``bthcheck``, as ``python -m bthcheck``."""

import sys

from bthcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
