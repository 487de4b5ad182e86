"""What a network is like at its inputs, without training: Lipschitz constants, linear regions, covering numbers."""
