"""Finding the class behind a factory's name."""

import importlib
from typing import Any


def resolve(factory: str) -> Any:
    """Return the object that "package.module:name" names."""
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)
