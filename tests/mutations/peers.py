"""One mutation for each failure of comparable systems that concerns what we have (docs/peers.md)."""

from __future__ import annotations

from tests.mutations.mutation import Change, Mutation, mutation

_PEERS = "tests/test_peers.py"

PEERS = (
    mutation(
        "a flipped bit takes the rest of the queue along", "edge/journal_store.py",
        "return await self._good_beginning([row[0] for row in rows], run)",
        'raise self._damaged(f"something behind position {position} is damaged")',
        "tests/edge/test_journal.py::test_a_flipped_bit_in_a_stored_record_is_noticed_and_named", peer=1),
    mutation(
        "a damaged row beside the records keeps the queue from opening",
        "edge/journal.py",
        "                    standing = Standing(0, 0, 0)  # the hub says it again\n"
        "                    stopped = stopped or str(error)\n", "                    raise error\n",
        "tests/edge/test_journal_trouble.py::test_a_damaged_page_beside_the_records_does_not_keep_the_agent_from_starting",
        peer=2),
    Mutation(
        "positions counted from the rows that clean-up left", (
            Change("edge/journal_store.py", '_SELECT_HEAD = "SELECT position, digest FROM head"',
                   '_SELECT_HEAD = "SELECT (SELECT count(*) FROM envelopes), digest FROM head"'),
        ),
        (f"{_PEERS}::test_pruning_that_is_cut_off_at_any_statement_is_gone_on_with_at_the_next_start",), peer=3),
    mutation(
        "pruned before the hub's mark is on disk", "edge/retention.py",
        "            await store.set_standing(standing)\n", "            pass\n",
        f"{_PEERS}::test_pruning_that_is_cut_off_at_any_statement_is_gone_on_with_at_the_next_start", peer=3),
    mutation(
        "what was sent counts as delivered", "edge/uplink.py", "        position = await self._hello\n",
        '        position = max(await self._hello, getattr(self._journal, "sent", 0))\n'
        '        setattr(self._journal, "sent", self._journal.head.position)\n',
        f"{_PEERS}::test_what_was_sent_into_a_line_that_was_cut_unnoticed_is_sent_again_and_nothing_else", peer=4),
    mutation(
        "a silent line is waited for", "edge/uplink.py",
        'raise LineLost("the hub does not answer; check the line, and the hub")', "pass",
        "tests/hub/ledger/test_ingest.py::test_a_hub_that_owes_an_answer_is_let_go", peer=4),
    Mutation(
        "a smaller quota makes room by dropping the oldest", (
            Change("edge/journal_2.sql", "CREATE TRIGGER keep_until_backed_up BEFORE DELETE ON envelopes\n    WHEN ",
                   "CREATE TRIGGER keep_until_backed_up BEFORE DELETE ON envelopes\n    WHEN 0 AND "),
            Change("edge/journal_2.sql", "\n      OR OLD.position > (SELECT coalesce(max(position), 0) FROM receipts)\n", "\n"),
            Change("edge/journal_store.py", "            self.identity = await self._read_identity()\n",
                   "            self.identity = await self._read_identity()\n"
                   "            if self._quota_bytes < PAGE_BYTES and not self._readonly:\n"
                   '                await self._rows("DELETE FROM envelopes WHERE position < (SELECT position FROM head)")\n'),
        ),
        (f"{_PEERS}::test_a_smaller_quota_costs_no_record_that_is_there",
         "tests/edge/test_journal.py::test_the_database_refuses_to_prune_what_the_hub_has_not_backed_up"), peer=5),
    mutation(
        "each session begins at the first record", "edge/uplink.py", "        position = await self._hello\n",
        "        position = await self._hello * 0\n",
        f"{_PEERS}::test_what_was_sent_into_a_line_that_was_cut_unnoticed_is_sent_again_and_nothing_else", peer=6),
    mutation(
        "a lost line ends the uplink", "edge/line.py", "                self._become(LineStatus.UNREACHABLE, str(error))\n",
        "                self._become(LineStatus.UNREACHABLE, str(error))\n                return\n",
        f"{_PEERS}::test_whatever_ends_a_session_the_next_one_begins_by_itself", peer=7),
    mutation(
        "a refusal ends the uplink", "edge/line.py", "                delay = error.retry_s * self._random.uniform(0.5, 1.0)\n",
        "                return\n", f"{_PEERS}::test_whatever_ends_a_session_the_next_one_begins_by_itself", peer=7),
    mutation(
        "sessions are remembered for ever", "edge/uplink.py",
        "        async with aclosing(self._replicate(session.requests())) as replies:\n",
        '        self._pace.__dict__.setdefault("sessions", []).append(session)\n'
        "        async with aclosing(self._replicate(session.requests())) as replies:\n",
        f"{_PEERS}::test_a_hundred_reconnects_leave_nothing_behind_on_either_side", peer=8),
    mutation(
        "the queue has no quota", "edge/journal_store.py",
        'await self._rows(f"PRAGMA max_page_count = {max(self._quota_bytes // PAGE_BYTES, 1)}")', "pass",
        "tests/edge/test_journal.py::test_a_full_quota_refuses_new_work_and_loses_nothing", peer=8),
    Mutation(
        "a start reads the whole backlog", (
            Change("edge/journal_store.py", "max(head.position - TAIL_MAX_RECORDS, backed_up)", "backed_up"),
            Change("edge/journal_store.py", "TAIL_MAX_BYTES = 4 * 1024 * 1024", "TAIL_MAX_BYTES = 4 * 1024 ** 3"),
        ),
        (f"{_PEERS}::test_a_start_with_a_long_backlog_takes_no_more_memory_than_with_a_short_one",), peer=9),
    mutation(
        "a few records a message", "edge/uplink.py", "BATCH_MAX_RECORDS = 2_000", "BATCH_MAX_RECORDS = 10",
        f"{_PEERS}::test_a_backlog_travels_in_few_messages_and_a_busy_hour_is_few_commits", peer=10),
    mutation(
        "a commit for each record", "edge/journal_writer.py", "GROUP_MAX = 256", "GROUP_MAX = 1",
        f"{_PEERS}::test_a_backlog_travels_in_few_messages_and_a_busy_hour_is_few_commits", peer=10),
    mutation(
        "no certificate once the old one has ended", "hub/enrolment/renewals.py", "GRACE = dt.timedelta(days=180)",
        "GRACE = dt.timedelta(0)", "tests/hub/enrolment/test_renewals.py::test_a_renewal_within_the_grace_needs_nobody", peer=11),
    mutation(
        "a machine does not ask once its certificate has ended", "edge/renewal.py",
        "        if not wanted and self._clock.unix_ms() < self._files.pair.renew_at_ms:\n",
        "        if not self._files.pair.validity.holds(self._clock.unix_ms()):\n",
        "tests/edge/test_renewal.py::test_a_machine_that_slept_for_months_renews_by_itself", peer=11),
    mutation(
        "files written in place", "security/private_files.py", '    temporary = path.with_name(f".{path.name}.new")\n',
        "    temporary = path\n", "tests/security/test_private_files.py::test_a_write_that_fails_leaves_the_old_secret", peer=12),
    mutation(
        "cards that were in at the start are missed", "devices/pcsc_monitor.py",
        "        present = bool(state & pcsc.STATE_PRESENT)\n",
        "        counted = self._insertions.setdefault(name, (state >> pcsc.CARD_EVENTS_SHIFT, 0))[0]\n"
        "        present = bool(state & pcsc.STATE_PRESENT) and state >> pcsc.CARD_EVENTS_SHIFT != counted\n",
        "tests/devices/test_pcsc_readers.py::test_a_card_already_in_at_the_start_is_seen_and_read", peer=13),
    mutation(
        "the hub is not asked for its time when dates look wrong", "edge/hub_view.py",
        "    context.verify_flags |= NO_CHECK_TIME\n", "",
        "tests/edge/test_hub_view.py::test_an_honest_hub_tells_its_time_even_with_a_certificate_whose_dates_look_wrong",
        peer=14),
    mutation(
        "a clock that was set changes nothing", "edge/examination.py",
        "            if jumped:\n                self.retry_now()\n", "",
        "tests/edge/test_examination.py::test_a_clock_that_is_set_makes_the_line_try_again_at_once", peer=14),
    Mutation(
        "who looks at the queue may change it", (
            Change("edge/journal_store.py", "READ_PRAGMAS if self._readonly else BRIEF_PRAGMAS", "DURABLE_PRAGMAS"),
            Change("edge/journal_store.py", "return look_uri(self._path) if self._readonly else database_uri",
                   "return database_uri"),
        ),
        ("tests/edge/test_journal.py::test_status_readers_change_nothing",), peer=15),
)
