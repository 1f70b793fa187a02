"""Methods for games and monotone inclusions, a file for each."""
