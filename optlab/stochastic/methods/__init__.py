"""The methods, one (or one tight group) per file."""
