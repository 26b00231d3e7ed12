"""Which tests of the backend run over both engines, and what has no meaning on a server.

A test of these modules that makes its cache by `make_cache` or `make_any` runs once more with a
server behind it, unless it is named below.
"""

from __future__ import annotations

from math import inf

from django_diskcache.server.envelope import HEAD
from tests.server.servers import Server

MODULES = (
    "test_async",
    "test_commits",
    "test_contract",
    "test_integration",
    "test_keys",
    "test_memoizing",
    "test_serializer",
    "test_signals",
    "test_signing",
    "test_tags",
    "test_times",
)

# By the name of the test, why it does not.
NO_MEANING = {
    **dict.fromkeys(
        (
            "test_a_write_that_finds_a_lock_leaves_the_loop_free_and_completes",
            "test_many_writes_that_find_a_lock_lose_nothing",
            "test_a_write_without_retry_gives_up",
            "test_a_memoized_result_that_finds_a_lock_leaves_the_loop_free",
            "test_a_stale_value_that_finds_a_lock_leaves_the_loop_free",
            "test_a_method_that_a_debugger_has_put_on_the_object_waits_in_a_thread",
            "test_a_call_that_goes_to_a_thread_sends_once",
        ),
        "nobody locks a server; test_native has what coroutines wait for there",
    ),
    **dict.fromkeys(
        (
            "test_reads_run_inline_even_while_another_writes",
            "test_writes_run_inline_while_no_lock_is_taken",
            "test_memoized_results_are_kept_and_read_inline",
            "test_what_is_large_is_compressed_in_a_thread",
        ),
        "an answer is awaited; test_native has what runs on the loop",
    ),
    **dict.fromkeys(
        (
            "test_a_read_that_finds_the_pool_empty_leaves_the_loop_free",
            "test_a_read_opens_a_connection_while_a_write_waits",
            "test_a_full_pool_is_a_miss_and_never_a_wait_without_end",
        ),
        "it fills the pool of a database; tests/server has the like",
    ),
    **dict.fromkeys(
        (
            "test_max_entries_and_cull_frequency",
            "test_max_entries_beside_options",
            "test_the_oldest_go_first",
            "test_expired_entries_go_before_live_ones",
            "test_every_way_to_store_keeps_max_entries",
            "test_cull_brings_the_volume_within_the_limit",
            "test_incr_version_leaves_what_it_cannot_store_anew",
            "test_what_is_refused_is_not_told_as_stored",
        ),
        "how much there may be is the server's maxmemory",
    ),
    "test_volume_counts_what_is_stored": "volume is memory of the server, of whoever uses it",
    "test_expire_removes_what_has_expired": "the server removes it by itself",
    "test_evictions_and_expiry": "what the server removes, it does not tell of",
    "test_shutdown_and_use_again": "it counts connections to databases; test_native does here",
    "test_by_default_nothing_of_an_attacker_is_loaded": "it writes rows; tests/server has it",
    "test_a_broken_directory_breaks_nothing": "it damages a database",
    "test_transactions_of_the_cache": "there are no transactions of a cache",
    "test_errors": "it damages a database; test_native has signals of a server's faults",
}


def end(server: Server, now: float) -> None:
    """Remove what has ended by the clock of a test, as the server would by its own.

    What is left is given time, of which a slow test may take much.
    """
    with server.client() as client:
        for name in client.scan_iter(count=1000, _type="string"):
            data = client.get(name)
            if data is None or len(data) < HEAD.size:  # no entry, such as a claim
                continue
            due = HEAD.unpack_from(data)[3]
            if due <= now:
                client.delete(name)
            elif due != inf:
                client.pexpire(name, 600_000)
