"""For all tests: a busy machine is no finding of hypothesis."""

from hypothesis import HealthCheck, settings

settings.register_profile("suozhan", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suozhan")
