"""For every test: properties are held by what they find, never by how long it takes on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("darkroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("darkroom")
