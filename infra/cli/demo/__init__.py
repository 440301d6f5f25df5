"""The demonstration; start reading at `main.py`."""
