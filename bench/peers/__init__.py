"""What others wrote, written anew as they document it, to be measured beside ours."""
