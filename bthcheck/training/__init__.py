"""How it learns: one interface, several engines that agree, and a cache of finished runs.

An engine is a module with ``NAME``, ``DEVICES``, ``unsupported(run)``, ``train(run, device)`` and
``trace(run, steps, device)``.
"""
