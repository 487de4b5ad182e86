"""Attacks on exact claims: what is generated for which claim, how long it is searched, and what is kept of it.

A case is plain values, as JSON has them, that say all of one example: a network and its points, the steps of a training. What
generates cases and what reads them from a file go through the same door, `bthcheck.evidence.attacks.cases.built`, so that a
counterexample can be replayed from its file alone. `table.ATTACKS` says which claim is attacked how.
"""
