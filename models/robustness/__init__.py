"""Attacks on classifiers, and bounds that no attack passes."""
