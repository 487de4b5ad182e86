"""How far training is: what is heard of it, how much time is left, and how a terminal is told."""
