"""The real components on one machine, from packages alone; see README.md."""
