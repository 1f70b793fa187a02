"""Transport in closed form or nearly so: on the line, on the circle, over slices, between Gaussians."""
