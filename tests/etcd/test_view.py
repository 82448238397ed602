"""What a process knows of the keys, in whatever order it is told."""

from __future__ import annotations

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.client import Entry, Listing
from veltrix.adapters.etcd.following import Change
from veltrix.adapters.etcd.view import View


def entry(key: str, created: int, changed: int | None = None, lease: int = 7) -> Entry:
    """A key."""
    return Entry(key, b"me", created, changed or created, lease)


def told(key: str, revision: int, *, deleted: bool = False) -> Change:
    """A change as the watch tells it."""
    kind = rpc.Event.DELETE if deleted else rpc.Event.PUT
    kv = rpc.KeyValue(key=key.encode(), create_revision=revision, mod_revision=revision, value=b"other")
    return Change(rpc.Event(type=kind, kv=kv))


def test_what_is_older_than_what_is_known_changes_nothing():
    """A watch that tells late of a predecessor's end does not take away what was won since."""
    view = View()
    view.stands(entry("a", 10))
    view.changed(told("a", 9, deleted=True))
    view.changed(told("a", 8))
    assert view.get("a") == entry("a", 10)
    view.gone("a", 11)
    view.changed(told("a", 10))
    assert view.get("a") is None
    view.changed(told("a", 12))
    assert view.get("a") is not None


def test_a_listing_says_what_is_not_there():
    """Keys that a listing lacks are gone, unless they are newer than it."""
    view = View()
    view.listed(Listing((entry("a", 3), entry("b", 4)), 5, 1))
    view.stands(entry("c", 9))
    view.listed(Listing((entry("b", 4),), 8, 1))
    assert [key for key, _ in view.below("")] == ["b", "c"]


def test_an_etcd_that_went_back_in_time_is_believed():
    """After a restore, or in front of another cluster, what was known counts for nothing."""
    for listing in (Listing((entry("a", 2),), 3, 1), Listing((entry("a", 2),), 90, 2)):
        view = View()
        view.listed(Listing((entry("a", 50), entry("b", 60)), 80, 1))
        view.gone("a", 70)
        view.listed(listing)
        assert dict(view.below("")) == {"a": entry("a", 2)}


def test_a_lease_takes_its_keys_with_it():
    """When etcd says that a lease is gone its keys are, and no others."""
    view = View()
    view.listed(Listing((entry("a", 3, lease=7), entry("b", 4, lease=8)), 5, 1))
    view.lease_ended(7)
    assert [key for key, _ in view.below("")] == ["b"]
