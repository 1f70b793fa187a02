"""Theorem checks of this paper; `_instances` holds what they share."""
