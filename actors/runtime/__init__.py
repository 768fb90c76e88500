"""Starts and finds actors, and the Ray that they run on. Ray is told about them here and nowhere else."""
