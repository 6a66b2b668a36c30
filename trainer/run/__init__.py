"""What a run leaves in its folder: the log, figures and report, what went wrong, and which code it was."""
