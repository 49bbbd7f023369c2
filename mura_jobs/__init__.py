"""Find out whether synthetic bone X-rays improve a classifier."""

__version__ = "0.1.0"
