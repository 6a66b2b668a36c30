"""Figures and the TensorBoard layout: receives arrays, knows no model. Importing it loads nothing heavy."""
