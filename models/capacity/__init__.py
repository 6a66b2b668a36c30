"""Families of models of growing capacity, trained side by side, and what is due for each of them."""
