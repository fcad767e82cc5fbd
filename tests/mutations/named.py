"""The twelve mutations that the campaign names; a guard that stands in several places has an entry for each."""

from __future__ import annotations

from tests.mutations.mutation import Change, Mutation, mutation

_DURABLE = "tests/test_durable.py::test_nothing_that_is_promised_is_in_memory_only"
_JOURNAL = "tests/edge/test_journal.py"
_INGEST = "tests/hub/ledger/test_ingest.py"
_ACKNOWLEDGED = "tests/hub/ledger/test_acknowledgement.py"
_RECEIPTS = "tests/test_receipts.py"
_RENEWALS = "tests/hub/enrolment/test_renewals.py"

NAMED = (
    mutation(
        "fsync skipped: commits", "security/durable_sqlite.py", '"PRAGMA synchronous = FULL",', '"PRAGMA synchronous = NORMAL",',
        _DURABLE, "tests/security/test_durable_sqlite.py::test_synchronous_is_full_on_every_later_connection_too",
        peer=1),
    mutation(
        "fsync skipped: a new database", "security/durable_sqlite.py",
        'f"PRAGMA synchronous = FULL;', 'f"PRAGMA synchronous = OFF;',
        _DURABLE),
    mutation(
        "fsync skipped: keys, files and the high-water mark", "security/private_files.py", "os.fsync(file.fileno())", "pass",
        _DURABLE, "tests/security/test_private_files.py::test_file_and_folder_are_synced_in_that_order_around_the_rename"),
    mutation(
        "fsync skipped: names in folders", "security/private_files.py", "        os.fsync(descriptor)", "        pass",
        _DURABLE, "tests/security/test_private_files.py::test_file_and_folder_are_synced_in_that_order_around_the_rename"),
    Mutation(
        "acknowledgement before commit: at the counter", (
            Change("edge/journal_writer.py", "        await self._append(store, rows)\n        stored =", "        stored ="),
            Change("edge/journal_writer.py", "Stored(row.id, row.position, repeat=False))\n",
                   "Stored(row.id, row.position, repeat=False))\n        await self._append(store, rows)\n"),
        ),
        ("tests/edge/test_journal_trouble.py::test_another_program_that_holds_the_database_stops_nothing",)),
    mutation(
        "acknowledgement before commit: at the hub", "hub/ledger/ingest.py",
        "            await session.waiting.put(await self._writer.append(arrival))\n",
        "            await session.waiting.put(await self._writer.append(arrival))\n"
        "            session.learn(arrival.run.last, arrival.digests[-1], 0)\n            await self._say(session)\n",
        f"{_ACKNOWLEDGED}::test_nothing_is_acknowledged_while_its_commit_waits",
        f"{_ACKNOWLEDGED}::test_a_commit_that_fails_is_acknowledged_to_nobody"),
    mutation(
        "chain check dropped: at the hub's append", "hub/ledger/append_rule.py",
        "return Accept(common - first + 1) if ours == theirs else Fork(common)", "return Accept(common - first + 1)",
        f"{_INGEST}::test_a_fork_is_refused_and_noted", f"{_INGEST}::test_the_append_rule_on_another_history_never_accepts"),
    mutation(
        "chain check dropped: before a machine sends", "edge/journal_store.py",
        "and digests_after(previous, run.payloads)[-1] == await self.digest_at(run.last)):", "):",
        f"{_JOURNAL}::test_a_flipped_bit_in_a_stored_record_is_noticed_and_named"),
    mutation(
        "chain check dropped: in the audit", "hub/ledger/journal_check.py",
        "if next_digest(self._digest, entry.payload) != entry.digest:", "if False:",
        "tests/hub/audit/test_audit.py::test_a_changed_payload_is_found_and_so_is_that_its_seal_is_broken"),
    mutation(
        "last-signature check dropped", "hub/ledger/batch_check.py",
        "if digests and not signature_holds(verifier, batch.signatures[in_place - 1], digests[-1]):", "if False:",
        f"{_INGEST}::test_the_good_beginning_of_a_broken_batch_is_kept"),
    mutation(
        "genesis not bound to the edge", "security/chain.py", "            + self.edge.bytes\n", "",
        "tests/security/test_chain.py::test_the_genesis_digest_covers_every_field",
        "tests/security/test_vectors.py::test_our_code_makes_the_same_chain_from_the_same_payloads"),
    mutation(
        "data key reused after restart", "security/sealing.py", "self._secret = os.urandom(DATA_KEY_BYTES)",
        "self._secret = sha256(edge.bytes + journal.bytes)",
        f"{_JOURNAL}::test_no_data_key_and_no_nonce_serves_twice_however_often_it_starts",
        "tests/security/test_sealing.py::test_every_data_key_has_its_own_secret"),
    mutation(
        "position taken twice: by the journal's schema", "edge/journal_schema.sql",
        "    SELECT RAISE(ABORT, 'the record does not follow the head') WHERE changes() = 0;\n", "",
        f"{_JOURNAL}::test_the_database_itself_takes_each_position_once_and_in_order"),
    mutation(
        "position taken twice: by the maker of records", "edge/record_maker.py",
        "            head = Head(rows[-1].position, rows[-1].link.digest)\n", "",
        f"{_JOURNAL}::test_two_windows_at_once_get_positions_without_gap_or_double"),
    mutation(
        "position taken twice: by the ledger's schema", "hub/ledger/schema_sqlite.sql",
        "    SELECT RAISE(ABORT, 'the run does not follow its journal''s head') WHERE changes() = 0;\n", "",
        "tests/hub/ledger/test_runs.py::test_the_database_itself_takes_each_position_once_and_in_order"),
    mutation(
        "pruning not held to the backed-up mark: by the schema", "edge/journal_2.sql",
        "WHEN OLD.position >= (SELECT backed_up FROM standing)\n      OR", "WHEN",
        f"{_JOURNAL}::test_the_database_refuses_to_prune_what_the_hub_has_not_backed_up"),
    mutation(
        "pruning not held to the backed-up mark: by the journal", "edge/retention.py",
        "last = min(self.standing.backed_up - 1, self._proved)", "last = self._proved",
        f"{_JOURNAL}::test_a_repeat_is_known_after_pruning_and_restart"),
    mutation(
        "receipt not verified", "edge/receipt_book.py",
        "        view.check_receipt(leaf, message.index, message.inclusion)\n", "",
        f"{_RECEIPTS}::test_a_forged_receipt_is_refused_with_an_alarm_and_nothing_is_pruned_for_it"),
    mutation(
        "consistency not checked", "edge/log_view.py", "            self._check_growth(new, note, consistency)\n",
        "            pass\n",
        f"{_RECEIPTS}::test_a_hub_that_shows_another_history_is_found_out_by_the_checkpoint_that_the_edge_kept",
        "tests/edge/test_log_view.py::test_a_history_that_is_another_one_is_refused_with_both_checkpoints"),
    mutation(
        "grace not enforced", "hub/enrolment/renewals.py", "        self._require_grace(request, present)\n", "",
        f"{_RENEWALS}::test_the_grace_ends_after_180_days_and_then_a_person_decides"),
    mutation(
        "revocation not ending streams", "hub/enrolment/open_streams.py",
        "if standing is not None and standing.revoked_ms is not None:", "if False:",
        "tests/hub/enrolment/test_open_streams.py::test_a_revocation_ends_it"),
)
