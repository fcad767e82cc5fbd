"""The agent of one counter machine, assembled in `edge/assembly.py`."""
