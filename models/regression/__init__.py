"""What a generalised linear model is asked: how sure the fit is, and what adjusting for a variable does."""
