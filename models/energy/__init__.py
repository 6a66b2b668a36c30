"""Models that give every picture an energy: the restricted Boltzmann machine and the deep belief network."""
