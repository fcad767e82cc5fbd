"""`make demo`: one city in two minutes, with a cut line and a killed agent. Uses the commands as a person would."""
