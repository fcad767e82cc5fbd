"""The device page: plain HTML, CSS and ES modules, as the agent serves them on loopback (edge/door/page_routes.py)."""
