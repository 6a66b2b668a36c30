"""Linear regions of networks of Linear, ReLU and LeakyReLU: counted exactly, bounded, and drawn."""
