"""Transport that need not move everything, and barycentres: problems, plans, scaling."""
