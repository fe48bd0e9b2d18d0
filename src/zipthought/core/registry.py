"""Registries: the one way in which tasks, methods, surfaces and other kinds of additions are found by name.

An addition is a module or a class with a `NAME` and the members that its kind asks for. The project's own ones are
registered where the registry is made. Those of other packages register themselves when they are imported, and are
imported on first need when they are named in the environment variable ``ZIPTHOUGHT_PLUGINS`` (modules, separated by
commas) or as entry points of the group ``zipthought``. Worker processes inherit both.

    SURFACES.register(my_surface)     # TypeError naming what it lacks
    SURFACES.find("terse")            # ValueError naming those that exist
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

PLUGINS = "ZIPTHOUGHT_PLUGINS"
_loaded = False


def load_plugins() -> None:
    """Import the modules that ``ZIPTHOUGHT_PLUGINS`` names and the entry points ``zipthought``, once a process.

    Raises `ValueError` for a module of ``ZIPTHOUGHT_PLUGINS`` that cannot be imported.
    """
    global _loaded
    if _loaded:
        return
    _loaded = True
    for name in filter(None, (part.strip() for part in os.environ.get(PLUGINS, "").split(","))):
        try:
            import_module(name)
        except ImportError as error:
            raise ValueError(f"{PLUGINS} names the module {name!r}, which cannot be imported: {error}") from error
    for point in entry_points(group="zipthought"):
        point.load()


class Registry(Mapping[str, Item], Generic[Item]):
    """Name -> item, for one kind of addition."""

    def __init__(self, kind: str, members: Sequence[str]) -> None:
        """`kind` is what messages call an item; `members` are the attributes that every item must have."""
        self.kind = kind
        self.members = ("NAME", *members)
        self._items: dict[str, Item] = {}

    def register(self, item: Item) -> Item:
        """Add an item, and return it, so that this serves as a decorator.

        Raises `TypeError` naming the members that the item lacks, and `ValueError` for a name that is taken.
        """
        abstract: frozenset[str] = getattr(item, "__abstractmethods__", frozenset())
        missing = [name for name in self.members if not hasattr(item, name) or name in abstract]
        missing += sorted(abstract - set(missing))
        label = getattr(item, "NAME", None) or getattr(item, "__name__", repr(item))
        if missing:
            raise TypeError(f"the {self.kind} {label!r} lacks {', '.join(missing)}")
        name: Any = item.NAME  # type: ignore[attr-defined]
        if self._items.get(name, item) is not item:
            raise ValueError(f"there is a {self.kind} {name!r} already; choose another name")
        self._items[name] = item
        return item

    def find(self, name: str) -> Item:
        """The item of that name. Raises `ValueError` naming those that exist."""
        if name not in self._items:
            load_plugins()
        if name not in self._items:
            raise ValueError(f"unknown {self.kind} {name!r}; use {', '.join(self._items)}")
        return self._items[name]

    def unregister(self, name: str) -> None:
        """Remove an item, which tests of additions need."""
        del self._items[name]

    def __getitem__(self, name: str) -> Item:
        if name not in self._items:
            load_plugins()
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(self._items)

    def __len__(self) -> int:
        load_plugins()
        return len(self._items)
