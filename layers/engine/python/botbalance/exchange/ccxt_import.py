"""Imports one exchange class of ccxt without the other hundred: a third of the time and half of the memory.

``import ccxt`` imports every exchange. Its submodules need of the package only the names of its base, so a
light stand-in takes the package's place. Where the whole of ccxt is imported already, that one is used.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any

_one_at_a_time = Lock()
"""A thread must not find the stand-in before it is complete."""


def exchange_class(exchange: str) -> type[Any]:
    """ccxt's synchronous class of that name; raises ModuleNotFoundError where ccxt has none."""
    with _one_at_a_time:
        if "ccxt" not in sys.modules:
            _stand_in_for_package()
    name = f"ccxt.{exchange}"
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is not None:  # ccxt.base and ccxt.pro are packages
        raise ModuleNotFoundError(f"ccxt has no exchange {exchange!r}", name=name)
    return getattr(import_module(name), exchange)  # type: ignore[no-any-return]


def _stand_in_for_package() -> None:
    spec = find_spec("ccxt")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("ccxt is not installed", name="ccxt")
    package = ModuleType("ccxt", "A stand-in for the package: its base only.")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["ccxt"] = package
    base = import_module("ccxt.base.exchange")
    for module_name in ("ccxt.base.errors", "ccxt.base.decimal_to_precision"):
        module = import_module(module_name)
        exported = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in exported:
            setattr(package, name, getattr(module, name))
    vars(package)["Exchange"] = base.Exchange
    vars(package)["Precise"] = import_module("ccxt.base.precise").Precise
    vars(package)["__version__"] = base.__version__
