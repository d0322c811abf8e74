"""The shared cache: documents until they expire, in as many chunks as DynamoDB's limits ask for."""

from botbalance.store.cache import Cached, CacheTable

NOW = 1_700_000_000


def test_a_document_is_there_until_its_second(cache: CacheTable) -> None:
    cache.put_many({"key": "{}"}, NOW + 5)
    assert cache.get_many(["key"], NOW + 4) == {"key": Cached("{}", NOW + 5)}
    assert cache.get_many(["key"], NOW + 5) == {}


def test_what_is_not_there_is_left_out(cache: CacheTable) -> None:
    cache.put_many({"key": "{}"}, NOW)
    assert cache.get_many(["key", "another"], NOW - 1).keys() == {"key"}
    assert cache.get_many([], NOW) == {}


def test_a_key_asked_for_twice_is_read_once(cache: CacheTable) -> None:
    cache.put_many({"key": "{}"}, NOW)
    assert cache.get_many(["key", "key"], NOW - 1).keys() == {"key"}


def test_a_later_document_replaces_the_former(cache: CacheTable) -> None:
    cache.put_many({"key": "old"}, NOW + 5)
    cache.put_many({"key": "new"}, NOW + 9)
    assert cache.get_many(["key"], NOW) == {"key": Cached("new", NOW + 9)}


def test_more_than_one_request_holds_are_written_and_read_in_chunks(cache: CacheTable) -> None:
    documents = {f"key-{number}": f"document {number}" for number in range(230)}
    cache.put_many(documents, NOW + 1)
    assert {key: found.document for key, found in cache.get_many(documents, NOW).items()} == documents


def test_a_cache_that_cannot_be_reached_is_a_miss(cache: CacheTable) -> None:
    cache._table = "no-such-table"
    cache.put_many({"key": "document"}, NOW + 1)
    assert cache.get_many(["key"], NOW) == {}
