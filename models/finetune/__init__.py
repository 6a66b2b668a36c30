"""Fine-tuning a pretrained backbone: weights in, head first, gradual unfreezing, averaging."""
