"""Function classes (linear, tabular, networks) and the policies they parametrise."""
