"""Transport between equal masses: the problem, its plan, starts and step sizes."""
