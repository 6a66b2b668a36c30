"""From pictures in memory to batches: their order, what is drawn for each, and how a batch is deformed."""
