"""Pictures in files: which there are, of which class, decoded once, each problem named; to learn from or be asked."""
