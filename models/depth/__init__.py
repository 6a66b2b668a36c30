"""Deep against wide: shapes of equal budget, trained together, and their linear regions."""
