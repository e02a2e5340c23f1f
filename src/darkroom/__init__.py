"""Folders of photos to a served image classifier, through Amazon SageMaker's own wire protocols."""

__version__ = "0.1.0"
