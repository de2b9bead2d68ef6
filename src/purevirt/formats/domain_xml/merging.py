"""Changing a text to what is wanted: two canonical elements are compared, and the text is changed where they differ.

So whatever is spelled otherwise than we would spell it stays, unless its meaning changes. Children of one name are told
apart by their keys where they have one, else by their order.
"""

from __future__ import annotations

from purevirt.formats.xml import Edits, Element, Made, Tree

__all__ = ["merged"]

_KINDS = {"hostdev": ("type",), "controller": ("type",), "timer": ("name",), "input": ("type", "bus")}
"""Elements of one name that are of different kinds, by these attributes."""
_Kind = tuple[str | None, ...]


def merged(tree: Tree, old: Made, new: Made) -> Tree:
    """The text, which meant `old`, made to mean `new`."""
    edits = Edits(tree)
    _merge(edits, tree.root, old, new)
    return edits.done()


def _kind(one: Element | Made) -> _Kind:
    return one.name, *(one.attributes.get(name) for name in _KINDS.get(one.name, ()))


def _merge(edits: Edits, element: Element, old: Made, new: Made) -> None:
    if old == new:
        return
    if old.attributes != new.attributes or old.text != new.text:
        for name, value in new.attributes.items():
            if element.attributes.get(name) != value:
                edits.set_attribute(element, name, value)
        for name in old.attributes:
            if name not in new.attributes and name in element.attributes:
                edits.set_attribute(element, name, None)
        if new.text is not None and element.text != new.text:
            edits.set_text(element, new.text)
    _merge_children(edits, element, old, new)


def _merge_children(edits: Edits, element: Element, old: Made, new: Made) -> None:
    before, after = _groups(old), _groups(new)
    texts_before = dict.fromkeys(one for one in old.children if isinstance(one, str))
    texts_after = dict.fromkeys(one for one in new.children if isinstance(one, str))
    there: dict[_Kind, list[Element]] = {}
    for child in element.children:
        if not texts_before or edits.tree.source(child) not in texts_before:  # such are not understood
            there.setdefault(_kind(child), []).append(child)
    removed: list[Element] = []
    added: list[Made | str] = []
    for kind in dict.fromkeys((*before, *after)):
        _merge_group(edits, there.get(kind, []), before.get(kind, []), after.get(kind, []), removed, added)
    gone = texts_before.keys() - texts_after.keys()
    if gone:
        removed.extend(child for child in element.children if edits.tree.source(child) in gone)
    added.extend(text for text in texts_after if text not in texts_before)
    lost = {child.start for child in removed}
    for child in removed:
        edits.remove(child)
    kept = [child for child in element.children if child.start not in lost]
    last = {_kind(child): child for child in kept}
    end = kept[-1] if kept else None
    order = list(after)
    for made in added:
        place = _before(_kind(made), order, last) if isinstance(made, Made) else None
        edits.insert(element, made, place or end)


def _before(kind: _Kind, order: list[_Kind], last: dict[_Kind, Element]) -> Element | None:
    """What a new element follows: the last of its kind, or of the nearest kind before it, as they are written; the
    schema has an order for some."""
    for one in reversed(order[: order.index(kind) + 1]):
        if one in last:
            return last[one]
    return None


def _merge_group(
    edits: Edits,
    there: list[Element],
    before: list[Made],
    after: list[Made],
    removed: list[Element],
    added: list[Made | str],
) -> None:
    if before == after:
        return
    if len(there) != len(before):
        if len(before) == 0 and len(there) == len(after) == 1 and not after[0].key:
            _merge(edits, there[0], Made(after[0].name), after[0])  # it is there, and says nothing
        elif len(before) == 0:
            added.extend(after)
        elif len(before) < len(there):
            _merge_group(edits, there[: len(before)], before, after, removed, added)
        else:
            said = {"\n".join(one.lines()) for one in before}
            added.extend(one for one in after if "\n".join(one.lines()) not in said)
        return
    if len(before) == len(after) == 1:
        _merge(edits, there[0], before[0], after[0])
        return
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    stop = 0
    while stop < min(len(before), len(after)) - start and before[-1 - stop] == after[-1 - stop]:
        stop += 1
    middle = list(zip(there[start : len(there) - stop], before[start : len(before) - stop], strict=True))
    wanted = after[start : len(after) - stop]
    keyed = {made.key: (child, made) for child, made in middle}
    keys = {one.key for one in wanted}
    if [key for key in keyed if key in keys] != [one.key for one in wanted if one.key in keyed]:
        removed.extend(child for child, _ in middle)  # in another order
        added.extend(wanted)
        return
    for one in wanted:
        if one.key in keyed:
            child, made = keyed.pop(one.key)
            _merge(edits, child, made, one)
        else:
            added.append(one)
    removed.extend(child for child, _ in keyed.values())


def _groups(made: Made) -> dict[_Kind, list[Made]]:
    groups: dict[_Kind, list[Made]] = {}
    for child in made.children:
        if isinstance(child, Made):
            groups.setdefault(_kind(child), []).append(child)
    return groups
