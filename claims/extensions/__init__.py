"""Claims that go beyond the paper: what it leaves open, what competes with it, and where it may fail."""
