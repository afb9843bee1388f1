"""What a browser would see of a page as elements: for tests that nothing which came in is markup."""

from __future__ import annotations

from html.parser import HTMLParser

FOREIGN = frozenset({"iframe", "object", "embed", "base", "b", "img", "style"})
"""Elements that no page of ours has, and the hostile texts of the tests do."""


class Tags(HTMLParser):
    """The names of elements and attributes, and which attribute values there are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.languages: set[str] = set()
        self.scripts: list[str] = []
        self.unnamed_fields = 0
        self._labels = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one element."""
        given = dict(attrs)
        self.names.append(tag)
        self.attributes |= set(given)
        self.ids += [value] if (value := given.get("id")) else []
        self.links += [value for name in ("href", "src", "action", "hx-get", "hx-post") if (value := given.get(name))]
        self.languages |= {value} if (value := given.get("lang")) else set()
        if tag == "script":
            self.scripts.append(given.get("src") or "")
        self._labels += tag == "label"
        is_field = tag in ("input", "select", "textarea") and given.get("type") != "hidden"
        self.unnamed_fields += is_field and not self._labels and "aria-label" not in given

    def handle_endtag(self, tag: str) -> None:
        """Leave a label."""
        self._labels -= tag == "label"

    @property
    def hostile(self) -> list[str]:
        """What should not be there."""
        handlers = [name for name in self.attributes if name.startswith("on")]
        foreign = [name for name in self.names if name in FOREIGN]
        return handlers + foreign + [source for source in self.scripts if not source.startswith("/static/")]
