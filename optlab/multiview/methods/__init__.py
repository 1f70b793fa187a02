"""What solves it: alternating Procrustes updates."""
