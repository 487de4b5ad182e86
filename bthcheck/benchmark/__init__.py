"""How fast and how large: ``python -m bthcheck.benchmark``, and ``python -m bthcheck.benchmark.gpu`` on a GPU."""
