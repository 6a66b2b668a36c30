"""What a classifier shows of itself: outcomes on a split, findings, explanations, TensorBoard pages."""
