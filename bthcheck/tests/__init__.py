"""The library's own tests: ``pytest --pyargs bthcheck``."""
