"""Broken lines with free knots: fitted to the optimum, and written as networks of one hidden layer."""
