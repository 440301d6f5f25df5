"""The `sagestream` command; main.py is its table of contents."""
