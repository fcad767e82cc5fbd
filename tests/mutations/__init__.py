"""Guards taken out on purpose, one at a time: the tests that are said to notice it have to notice it."""
