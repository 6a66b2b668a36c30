"""From tensors in memory to batches: their order, what is drawn for each, and how pictures are deformed."""
