"""The views: read, centred, scaled, compressed."""
