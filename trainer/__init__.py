"""What Lightning lacks: safe checkpoints, exact resume, signals, guards, the run folder and the command line."""
