"""What is solved: linked components, their penalties, their solution and bounds on its distance from the optimum."""
