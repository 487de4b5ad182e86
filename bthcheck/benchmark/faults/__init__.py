"""What is lost, and what goes wrong, when something fails: ``python -m bthcheck.benchmark.faults`` counts it."""
