"""What happens while a run trains: the loop, its guards and signals, checkpoints, and the way back to any batch."""
