"""What a run leaves: histories, results, their files and tables, how a notebook shows them."""
