"""Registries: tasks, methods, surfaces and other kinds of additions are found by name here.

An addition is a module, a class or an object with a `NAME` and the members that its kind asks for. The project's own
additions are registered where the registry is defined. Additions of other packages register themselves when they are
imported. They are imported on first need, if the environment variable ``ZIPTHOUGHT_PLUGINS`` names their module
(several are separated by commas) or an entry point of the group ``zipthought`` does. Worker processes inherit both.

    SURFACES.register(my_surface)     # TypeError naming what it lacks
    SURFACES.find("terse")            # ValueError naming those that exist
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

PLUGINS = "ZIPTHOUGHT_PLUGINS"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+.-]*[A-Za-z0-9])?")
"""Names stand in formats, files and tables: letters, digits and ``_ + . -`` between them."""
_FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError),
)
"""What the import of a plugin may raise."""


class PluginError(Exception):
    """A plugin cannot be imported, or cannot register what it adds. It is no `ValueError`, so that no caller takes it
    for a fault of the data."""


class _Plugins:
    """The plugins of this process, imported once. A failure is raised again at every later need."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loading = self._loaded = False
        self._error: PluginError | None = None

    def load(self) -> None:
        """Import the plugins. Raises `PluginError` naming the one that fails."""
        if self._loaded:
            return
        with self._lock:
            if self._loaded or self._loading:  # Loading: a plugin looks up a name while it is imported.
                return
            if self._error:
                raise self._error
            self._loading = True
            try:
                for name in filter(None, (part.strip() for part in os.environ.get(PLUGINS, "").split(","))):
                    self._import(f"module {name!r} of {PLUGINS}", lambda name=name: import_module(name))  # type: ignore[misc]
                for point in entry_points(group="zipthought"):
                    self._import(f"entry point {point.name!r} ({point.value})", point.load)
            finally:
                self._loading = False
            self._loaded = True

    def _import(self, what: str, load: Callable[[], Any]) -> None:
        try:
            load()
        except _FAULTS as error:
            self._error = PluginError(f"the plugin {what} cannot be loaded: {type(error).__name__}: {error}")
            raise self._error from error


plugins = _Plugins()


class Registry(Mapping[str, Item], Generic[Item]):
    """Name -> item, for one kind of addition."""

    def __init__(self, kind: str, members: Sequence[str], classes: bool = False) -> None:
        """`kind` is what messages call an item; `members` are the attributes that every item must have. Items are
        classes, or else modules and objects."""
        self.kind = kind
        self.members = ("NAME", *members)
        self.classes = classes
        self._items: dict[str, Item] = {}

    def register(self, item: Item) -> Item:
        """Add an item, and return it, so that this serves as a decorator. A second definition of the same class (in a
        notebook, say) replaces the first.

        Raises `TypeError` naming the members that the item lacks, and for a class instead of its instance or the other
        way round. Raises `ValueError` for a name that is taken, or that is not letters and digits with ``_ + . -``
        between them.
        """
        abstract: frozenset[str] = getattr(item, "__abstractmethods__", frozenset())
        missing = [name for name in self.members if getattr(item, name, None) is None or name in abstract]
        missing += sorted(abstract - set(missing))
        label = getattr(item, "NAME", None) or getattr(item, "__name__", repr(item))
        if missing:
            raise TypeError(f"the {self.kind} {label!r} lacks {', '.join(missing)}")
        if isinstance(item, type) != self.classes:
            wanted, got = ("its class", "an instance") if self.classes else ("an instance", "its class")
            raise TypeError(f"the {self.kind} {label!r} was registered as {got}; register {wanted}")
        name: Any = item.NAME  # type: ignore[attr-defined]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"a {self.kind} cannot have the name {name!r}; use letters, digits and _ + . - between them"
            )
        if name in self._items and not _same(self._items[name], item):
            raise ValueError(f"there is a {self.kind} {name!r} already; choose another name")
        self._items[name] = item
        return item

    def find(self, name: str) -> Item:
        """The item of that name. Raises `ValueError` naming those that exist, with their parameters."""
        if name not in self._items:
            plugins.load()
        if name not in self._items:
            choices = ", ".join(str(getattr(item, "SYNTAX", name)) for name, item in self._items.items())
            raise ValueError(f"unknown {self.kind} {name!r}; use {choices}")
        return self._items[name]

    def unregister(self, name: str) -> None:
        """Remove an item. Tests of additions need it."""
        del self._items[name]

    def __getitem__(self, name: str) -> Item:
        if name not in self._items:
            plugins.load()
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        plugins.load()
        return iter(list(self._items))

    def __len__(self) -> int:
        plugins.load()
        return len(self._items)


def _same(old: Any, new: Any) -> bool:
    """Whether two items are the same one, or two definitions of the same class."""
    origins = [(getattr(item, "__module__", None), getattr(item, "__qualname__", None)) for item in (old, new)]
    return old is new or (None not in origins[0] and origins[0] == origins[1])
