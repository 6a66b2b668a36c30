"""The command line: words, names, recipes and settings files become checked settings, each mistake one line."""
