"""Costs (dense, point cloud, sparse, gauged): their passes, feasibility and pricing."""
