"""The city's hub: a folder per concern, assembled in `hub/assembly.py`."""
