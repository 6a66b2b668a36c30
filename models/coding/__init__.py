"""Autoencoders: networks that describe a picture by few numbers, how they are trained, and what a code is worth."""
