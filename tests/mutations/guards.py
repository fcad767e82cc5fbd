"""Guards beyond those that the campaign names: signatures, chains, the tree, keys, renewals, holes, salvage."""

from __future__ import annotations

from tests.mutations.mutation import Change, Mutation, mutation

_HOLES = "tests/hub/ledger/test_holes.py"
_LOST_KEY = "tests/hub/test_lost_key.py"
_RECEIPTS = "tests/test_receipts.py"
_TRANSPARENCY = "tests/hub/ledger/test_transparency.py"
_RESTORE = "tests/hub/test_restore.py"
_DECISIONS = "tests/hub/ledger/test_decision_log.py"
_LOG_VIEW = "tests/edge/test_log_view.py"
_INGEST = "tests/hub/ledger/test_ingest.py"
_SEALING = "tests/security/test_sealing.py"
_RENEWALS = "tests/hub/enrolment/test_renewals.py"
_REJOIN_DESK = "tests/hub/enrolment/test_rejoin_desk.py"
_CALLERS = "tests/hub/enrolment/test_callers.py"
_AUDIT = "tests/hub/audit/test_audit.py"
_STORE = "tests/edge/test_resources_store.py"
_DEPARTURES = "tests/edge/equipment/test_departures.py"
_ASSEMBLY = "tests/edge/test_assembly.py"
_FORGERIES = "tests/security/bundle/test_bundle_forgeries.py"

SIGNED = (
    mutation(
        "signature of a note skipped", "security/note.py",
        "        if not verifier.valid(line.signature, text.encode()):", "        if False:",
        "tests/security/test_note.py::test_no_byte_of_a_note_can_be_changed",
        "tests/security/test_checkpoint.py::test_no_byte_of_a_signed_checkpoint_can_be_changed"),
    mutation(
        "epoch statement not checked", "security/log_epoch.py",
        "text = open_note(note.encode(), [NoteKey(origin_of(hub, number), log_key)]).text",
        'text = note.rpartition("\\n\\n")[0] + "\\n"',
        f"{_LOG_VIEW}::test_only_the_hubs_log_key_signs_checkpoints_and_epochs"),
    mutation(
        "checkpoints of epochs that were never stated", "edge/log_view.py",
        "        if checkpoint.origin not in known:", "        if False:",
        f"{_LOG_VIEW}::test_a_checkpoint_of_an_epoch_that_was_not_stated_is_refused",
        f"{_LOG_VIEW}::test_another_hub_is_not_ours_whoever_signs_for_it"),
    mutation(
        "a new epoch need not grow", "edge/log_view.py", "if stays or not self.lost():", "if stays:",
        f"{_LOG_VIEW}::test_a_new_epoch_that_lost_nothing_still_has_to_grow"),
    mutation(
        "inclusion proof not compared with the root", "security/proofs.py",
        "    computed = _climb(leaf_hash, index, proof[:inner], proof[inner:])\n", "    computed = root\n",
        "tests/security/test_proofs.py::test_an_inclusion_proof_proves_one_leaf_at_one_place_of_one_tree"),
    mutation(
        "the hub's time not checked", "edge/uplink.py", "hub_ms = word.time.check(self._time_verifier)",
        "hub_ms = word.time.unix_ms",
        f"{_INGEST}::test_a_forged_time_is_not_believed"),
    mutation(
        "a restored hub is not asked after old journals", "edge/carry.py",
        "        if position >= settled.common and (same or not settled.digest):", "        if True:",
        "tests/edge/test_carry.py::test_what_a_restored_hub_no_longer_has_of_an_old_journal_is_carried_too",
        "tests/edge/test_predecessors.py::test_what_a_restored_hub_lacks_of_a_journal_that_has_ended_shows_again"),
    mutation(
        "anybody may ask after any journal", "hub/ledger/predecessors.py",
        "            if not any(one != journal and follows(ledger, one, journal) for one in own):", "            if False:",
        "tests/hub/ledger/test_predecessors.py::test_nobody_asks_after_another_machines_journal"),
    mutation(
        "a damaged signature of our own is refused for ever", "edge/uplink.py",
        "            case Reason.BROKEN_SIGNATURE | Reason.MALFORMED if damage := await self._journal.damage_at(position):",
        "            case Reason.BROKEN_SIGNATURE if (damage := \"\"):",
        "tests/edge/test_uplink.py::test_a_record_whose_signature_the_disk_has_changed_ends_the_journal_when_the_hub_refuses_it"),
    mutation(
        "resource not verified", "edge/resources.py", "        self._check_signature(signed)\n", "",
        f"{_STORE}::test_a_changed_byte_anywhere_in_a_signed_resource_is_refused"),
    mutation(
        "rollback of a resource", "edge/resources.py", "    if new < old:\n", "    if False:\n",
        f"{_STORE}::test_a_rollback_is_refused_with_the_reason_also_after_a_restart"),
    mutation(
        "carried record's signature not checked", "hub/ledger/carried.py",
        "    if not signature_holds(verifier, carried.signature, carried.digest):", "    if False:",
        f"{_AUDIT}::test_what_is_wrong_with_a_carried_record_is_found"),
    mutation(
        "audit trusts every signature", "hub/ledger/journal_check.py",
        "if self._signatures and not signature_holds(self._verifier, entry.signature, entry.digest):", "if False:",
        f"{_AUDIT}::test_every_single_signature_is_verified_not_only_the_last_of_a_batch"),
    mutation(
        "verifier takes an entry without proof", "security/bundle/log_check.py",
        "            check_inclusion(leaf, proof.index, self.checkpoint.size, proof.hashes, self.checkpoint.root)",
        "            pass",
        f"{_FORGERIES}::test_the_proof_of_another_entry_is_found"),
    mutation(
        "verifier takes a record that its machine did not sign", "security/bundle/journal_check.py",
        "        if not signature_holds(self._verifier, part.signature, digest):\n", "        if False:\n",
        f"{_FORGERIES}::test_a_signature_that_the_machine_did_not_make_is_found_though_the_chain_covers_the_payload"),
    mutation(
        "verifier takes a receipt for a record that its machine did not sign", "security/bundle/journal_check.py",
        "if digest is None or not signature_holds(self._verifier, signature, digest):", "if digest is None:",
        "tests/security/bundle/test_edge_bundles.py::test_receipts_that_prove_nothing_are_refused"),
)

HISTORY = (
    mutation(
        "high-water mark not written", "hub/ledger/transparency.py", "        self._mark.write(note)\n", "",
        f"{_TRANSPARENCY}::test_what_is_published_is_the_ledger_and_stands_in_mark_and_database",
        f"{_TRANSPARENCY}::test_a_checkpoint_whose_mark_cannot_be_written_is_shown_to_nobody",
        f"{_TRANSPARENCY}::test_a_database_that_is_older_than_the_mark_is_not_signed_for"),
    mutation(
        "high-water mark written last", "hub/ledger/transparency.py",
        "        self._mark.write(note)\n"
        "        store.add_checkpoint(self.epoch.number, tree.size, note.decode(), self._clock.unix_ms())\n",
        "        store.add_checkpoint(self.epoch.number, tree.size, note.decode(), self._clock.unix_ms())\n"
        "        self._mark.write(note)\n",
        f"{_TRANSPARENCY}::test_a_checkpoint_whose_mark_cannot_be_written_is_shown_to_nobody",
        f"{_TRANSPARENCY}::test_a_crash_between_mark_and_database_is_gone_on_with"),
    mutation(
        "high-water mark not compared", "hub/ledger/transparency.py", "            self._check_mark(store, mark)\n",
        "            pass\n",
        f"{_TRANSPARENCY}::test_a_database_that_is_older_than_the_mark_is_not_signed_for",
        f"{_TRANSPARENCY}::test_a_database_with_another_history_than_the_mark_is_not_signed_for"),
    mutation(
        "high-water mark compared by size only", "hub/ledger/transparency.py",
        "if Frontier.read(size, TileReader(store.tile).node).root() != root:", "if False:",
        f"{_TRANSPARENCY}::test_a_database_with_another_history_than_the_mark_is_not_signed_for"),
    mutation(
        "log goes on without its mark", "hub/ledger/transparency.py", "        elif mark is None:\n", "        elif False:\n",
        f"{_TRANSPARENCY}::test_a_mark_that_is_lost_damaged_or_anothers_halts_the_log"),
    mutation(
        "a contradicted log signs on", "hub/ledger/transparency.py", "if self.halted or self.published is None:",
        "if self.published is None:", f"{_TRANSPARENCY}::test_what_contradicts_it_is_kept_and_halts_it_for_good"),
    mutation(
        "the high-water mark goes back", "hub/ledger/transparency.py",
        "if mark is None or (number, evidence.size) > (epoch_of(mark.origin, self._hub), mark.size):", "if True:",
        f"{_TRANSPARENCY}::test_the_mark_only_grows_and_what_contradicts_it_is_kept_beside_it"),
    mutation(
        "a contradicted log halts only once the disk has it", "hub/ledger/transparency.py",
        "            self._unkept = evidence, note\n            self._keep(evidence, note)\n",
        '            self.halted = ""\n            self._keep(evidence, note)\n            self.halted = REOPEN\n',
        f"{_TRANSPARENCY}::test_a_contradicted_log_signs_no_more_though_the_disk_takes_nothing"),
    mutation(
        "a machine's checkpoint not compared by the hub", "hub/ledger/receipts.py",
        "        if number >= published.epoch.number:\n", "        if False:\n",
        f"{_RECEIPTS}::test_a_hub_that_was_put_back_with_its_mark_learns_it_from_an_edge_and_signs_no_second_history"),
    mutation(
        "a new epoch claims what the last one did not have", "hub/ledger/transparency.py",
        "        while (epoch := known.get(number)) is not None:\n",
        "        for number, epoch in sorted(known.items(), reverse=True):\n            limit = size\n",
        f"{_TRANSPARENCY}::test_a_longer_database_of_an_epoch_before_the_last_begins_where_the_last_one_went_another_way"),
    mutation(
        "a busy moment ends a stream's receipts", "hub/ledger/receipt_giver.py",
        "                for statement in known.missed if known else []:\n",
        "                for statement in known.missed:  # type: ignore[union-attr]\n",
        f"{_RECEIPTS}::test_a_busy_moment_costs_a_stream_none_of_its_later_receipts"),
    mutation(
        "a backup is restored without its WAL", "hub/restore.py", "        copy_database(backup, new)\n",
        "        new.write_bytes(backup.read_bytes())\n",
        f"{_RESTORE}::test_a_database_that_lies_beside_its_wal_is_restored_with_all_that_was_committed"),
    mutation(
        "commands work beside a restore", "hub/command.py", "        context.with_resource(beside_others(context.obj))\n",
        "        pass\n",
        f"{_RESTORE}::test_no_command_opens_the_database_while_another_one_is_put_in_its_place"),
    mutation(
        "the hub's own positions are taken twice after a restore", "hub/ledger/own_journal.py",
        "        while head.position < end:\n", "        while False:\n",
        f"{_DECISIONS}::test_a_database_that_is_put_back_by_hand_gets_its_decisions_before_the_next_one",
        f"{_DECISIONS}::test_a_commit_that_was_lost_behind_the_log_is_no_position_taken_twice"),
    mutation(
        "the decision log is believed unchecked", "hub/ledger/own_journal.py",
        "if checked.broken is not None or checked.digests[-1:] != [decisions.digest_at(run.last)]:", "if False:",
        f"{_DECISIONS}::test_nothing_is_taken_back_that_this_hub_has_not_signed"),
    mutation(
        "a restore forgets revocations", "hub/recall.py",
        "            case \"machine.revoked\":\n                yield from self._revoked(body, one)\n", "",
        f"{_RESTORE}::test_what_was_decided_after_the_backup_holds_after_the_restore_and_is_told",
        f"{_RESTORE}::test_a_hub_whose_database_was_put_back_by_hand_lets_nobody_in_whom_it_has_sent_away"),
    mutation(
        "a lost decision log is passed over", "hub/ledger/own_journal.py",
        "return TakenBack(ledger.journal(self._hub).position - before, lost)",
        'return TakenBack(ledger.journal(self._hub).position - before, "")',
        f"{_RESTORE}::test_a_lost_decision_log_is_told_with_what_to_do"),
    mutation(
        "an epoch without a checkpoint goes on over any database", "hub/ledger/transparency.py",
        "number, size, root = self.epoch.number, self.epoch.base_size, self.epoch.base_root", "return",
        f"{_RESTORE}::test_an_epoch_without_a_checkpoint_goes_on_only_over_its_own_base"),
    mutation(
        "a hub's other history not noticed", "edge/uplink.py", "        if ours != word.digest:\n", "        if False:\n",
        f"{_INGEST}::test_an_acknowledgement_of_what_was_never_sent_stops_the_journal"),
    mutation(
        "a restored machine not noticed", "hub/ledger/ingest.py", "if opening.position < journal.position:", "if False:",
        f"{_INGEST}::test_a_restored_edge_is_told_so_and_stops_writing"),
    mutation(
        "journal of another machine taken", "hub/ledger/ingest.py", "if journal is None or journal.edge != edge:",
        "if journal is None:",
        f"{_INGEST}::test_another_machines_key_cannot_write_into_a_journal"),
    mutation(
        "two sessions with one identity", "hub/ledger/ingest.py", "            older.superseded.set()\n", "            pass\n",
        f"{_INGEST}::test_the_newest_of_two_sessions_wins"),
    mutation(
        "records carried by anybody", "hub/ledger/carried.py", "    if not may_carry(ledger, carrier, head.journal):\n",
        "    if False:\n", "tests/hub/transactions/test_carried_rows.py"
        "::test_what_a_machine_carries_that_follows_nobody_shows_nowhere_but_as_a_finding"),
    mutation(
        "copies of anybody keep a file's records out", "hub/imports/copies.py",
        "not (_whole(content, inner.edge, head) and may_carry(ledger, record.journal, head.journal))",
        "not _whole(content, inner.edge, head)",
        "tests/hub/transactions/test_carried_rows.py::test_what_somebody_else_has_carried_is_still_taken_from_a_file"),
    mutation(
        "hole without approval", "hub/ledger/holes.py", 'if approval.state == "approved":', 'if approval.state != "refused":',
        f"{_RECEIPTS}::test_what_neither_side_has_any_more_becomes_a_hole_that_somebody_approves"),
    mutation(
        "hole in a hub that was never restored", "hub/ledger/holes.py", "        self._require_restored()\n", "",
        f"{_HOLES}::test_a_hub_that_was_never_restored_has_lost_nothing"),
    mutation(
        "hole on the machine's word alone", "hub/ledger/holes.py", "        check_receipt(receipt, journal, log_key)\n",
        "        pass\n",
        f"{_HOLES}::test_without_the_hubs_own_word_that_it_held_them_nobody_is_asked"),
    mutation(
        "other ids than those approved", "hub/ledger/holes.py", 'b"".join(hole.digests) + ids)', 'b"".join(hole.digests))',
        f"{_HOLES}::test_after_the_approval_nothing_else_may_be_listed_than_what_was_approved"),
    mutation(
        "the key of what is still held is forgotten", "edge/key_copies.py", "sorted(self._up_to(pruned_to))[:-1]",
        "sorted(self._up_to(pruned_to))",
        f"{_LOST_KEY}::test_what_is_sent_again_opens_also_where_its_data_key_was_pruned",
        f"{_LOST_KEY}::test_a_machines_file_has_the_data_key_of_what_is_in_it"),
    mutation(
        "a key that came with a hole is known until the hub's next start", "hub/ledger/data_keys.py",
        "self._found.key(ledger, record.journal, position)", "None",
        f"{_LOST_KEY}::test_what_is_sent_again_opens_also_where_its_data_key_was_pruned"),
    mutation(
        "anything is carried with a hole", "hub/ledger/holes.py",
        "if carried.digest != hole.digests[at] or not signature_holds(verifier, signature, carried.digest):", "if False:",
        f"{_LOST_KEY}::test_with_a_hole_the_hub_takes_no_other_record_than_the_data_key_that_was_lost"),
    mutation(
        "a key that is lost on both sides goes on", "edge/journal.py", "            self._maker.forget_key(position)\n", "",
        f"{_LOST_KEY}::test_where_the_second_copy_of_the_key_is_gone_or_damaged_a_new_key_begins"),
    mutation(
        "what was pruned is forgotten by what an older hub says", "edge/retention.py", "if pruned_to > standing.position:",
        "if False:",
        f"{_LOST_KEY}::test_what_is_pruned_here_and_lost_at_the_hub_is_no_damage_of_the_machine",
        "tests/edge/test_journal.py"
        "::test_what_was_pruned_is_not_missing_once_the_hub_came_back_from_that_very_backup"),
    mutation(
        "a silent hole", "hub/ledger/hole_check.py", "            if silent <= hole.last:\n", "            if False:\n",
        "tests/hub/ledger/test_hole_check.py::test_a_hole_without_a_record_that_accepts_it_is_found"),
    mutation(
        "pruned without a proof", "edge/journal_2.sql",
        "\n      OR OLD.position > (SELECT coalesce(max(position), 0) FROM receipts)\n", "\n",
        "tests/edge/test_journal.py::test_the_database_refuses_to_prune_what_the_hub_has_not_backed_up"),
    mutation(
        "pruned by receipts of a tree that is gone", "edge/receipt_book.py", "await self._journal.proved(0)", "pass",
        f"{_RECEIPTS}::test_nothing_is_pruned_by_receipts_of_a_tree_that_the_hub_has_no_more"),
    mutation(
        "a damaged checkpoint ends the line", "edge/receipt_book.py",
        "except (HistoryRefused, DamagedReceipts) as error:", "except ZeroDivisionError as error:",
        f"{_RECEIPTS}::test_what_the_disk_did_to_receipts_stops_no_delivery_and_accuses_no_hub"),
    mutation(
        "an id that is not in a damaged journal's index counts as new", "edge/forerunner.py",
        'if self._db.execute("PRAGMA integrity_check(digests)").fetchall() != [("ok",)]:', "if False:",
        "tests/edge/test_forerunners.py::test_a_journal_whose_ids_are_in_doubt_answers_nothing_until_they_are_indexed"),
    mutation(
        "what a damaged log hides counts as new", "edge/forerunner.py", "if not self._hides_records():", "if True:",
        "tests/edge/test_forerunners.py::test_a_journal_whose_ids_are_in_doubt_answers_nothing_until_they_are_indexed"),
    mutation(
        "backup not verified before its mark", "hub/backup.py",
        "marks = {head.journal: sound_to(held, head) for head in heads}",
        "marks = {head.journal: head.position for head in heads}",
        "tests/hub/test_backup.py::test_no_edge_drops_what_is_damaged_in_the_backup"),
    mutation(
        "salvage accepts an unproved record", "edge/salvage_proof.py",
        "            if signature_holds(self._verifier, signature, digest):", "            if True:",
        "tests/edge/test_salvage.py::test_many_flipped_bits_in_many_pages_never_make_a_record"),
    mutation(
        "a database cut below its header is opened", "security/durable_sqlite.py",
        "if path.is_file() and (size := path.stat().st_size) < FILE_HEADER_BYTES:", "if (size := 0):",
        "tests/edge/test_salvage.py::test_a_journal_cut_below_its_header_is_never_opened_and_its_log_is_saved",
        "tests/hub/test_database_cut.py::test_every_command_names_a_cut_database_and_leaves_its_log"),
    mutation(
        "a log that was taken away or cut is not missed", "security/durable_sqlite.py",
        "if lacking := lost_log(path):", "if lacking := \"\":",
        "tests/security/test_sqlite_index.py::test_a_log_that_is_gone_or_cut_is_told_before_anything_is_opened",
        "tests/acceptance/test_lost_log.py::test_a_journal_whose_log_was_emptied_says_so_and_what_the_file_holds_is_delivered"),
    mutation(
        "an index of an earlier boot, or a copy of one, is believed", "security/sqlite_index.py",
        "if not index.exists() or _marked(index) != _mark(path, index):", "if not index.exists():",
        "tests/security/test_sqlite_index.py::test_an_index_that_is_not_certain_says_nothing"),
    mutation(
        "the log of a journal that was offline since its start is not missed", "edge/journal_store.py",
        "                mark_index(self._path)\n", "",
        "tests/acceptance/test_lost_log.py::test_an_agent_that_was_offline_since_its_start_misses_its_log_too"),
    mutation(
        "the log of what the hub writes by its engine is not missed", "hub/database.py",
        "        mark_index(path)\n", "",
        "tests/hub/test_database_cut.py::test_a_log_of_a_program_that_wrote_by_the_engine_alone_is_missed"),
    mutation(
        "a resting file that is written while it is read counts as damaged", "security/sqlite_connection.py",
        "(self._begun or _state(self._path) != self._seen)", "self._begun",
        "tests/security/test_sqlite_connection.py::test_what_is_read_after_a_change_is_neither_believed_nor_called_damaged",
        "tests/edge/test_resting_journal.py::test_a_check_of_a_journal_says_that_it_has_to_be_done_again",
        "tests/edge/test_resting_journal.py::test_a_check_of_receipts_has_nothing_against_the_hub",
        "tests/edge/test_resting_journal.py::test_status_says_what_to_do",
        "tests/hub/attachments/test_copies.py::test_a_hub_that_starts_while_its_resting_file_is_looked_at_is_not_damaged"),
    mutation(
        "who begins to write before the first look is not noticed", "security/sqlite_connection.py",
        "(self._begun or _state(self._path) != self._seen)", "_state(self._path) != self._seen",
        "tests/security/test_sqlite_connection.py::test_a_log_that_came_before_the_first_look_may_be_ending_in_the_file"),
    mutation(
        "a file that changed is the hub's fault", "edge/receipt_check.py",
        "        except FileChanged:\n            raise\n", "",
        "tests/edge/test_resting_journal.py::test_a_check_of_receipts_has_nothing_against_the_hub"),
    mutation(
        "an index speaks for another database than its own", "security/sqlite_index.py",
        "{incarnation(index)} {incarnation(path)}", "{incarnation(index)}",
        "tests/security/test_sqlite_index.py::test_a_whole_database_that_is_put_in_place_opens_beside_the_index_of_another"),
    mutation(
        "a file is taken for the one that had its inode before", "security/incarnation.py",
        "{_handle(path).hex()}", "",
        "tests/security/test_incarnation.py::test_a_file_that_is_made_anew_is_another_one"),
    mutation(
        "a look for a lost log takes SQLite's locks", "security/sqlite_index.py",
        "    with reading(index) as descriptor:\n", "    with index.open(\"rb\") as file:\n        descriptor = file.fileno()\n",
        "tests/edge/test_sqlite_locks.py::test_a_look_at_the_files_leaves_the_locks_to_sqlite"),
    mutation(
        "a log that was begun anew is taken for one that was cut", "security/sqlite_index.py",
        "header[_SALTS] != index.salts", "False",
        "tests/security/test_sqlite_index.py::test_beside_a_log_that_was_begun_anew_an_older_index_says_nothing"),
    mutation(
        "what stands in the database is missed in the log", "security/sqlite_index.py",
        "return found if found and found.backfilled < found.frames else None", "return found if found and found.frames else None",
        "tests/security/test_sqlite_index.py::test_what_stands_in_the_database_may_go_from_the_log"),
    mutation(
        "a database is begun anew over the log that it left", "security/durable_sqlite.py",
        "    if log_left(path):\n        raise LogLeft(path)\n    temporary", "    temporary",
        "tests/security/test_durable_sqlite.py::test_no_database_is_begun_anew_beside_a_log_that_may_hold_what_was_committed",
        "tests/hub/test_database_cut.py::test_no_hub_starts_where_a_database_is_gone_beside_its_log"),
    mutation(
        "a scanner's backend that hangs in letting go is waited for as one at work", "devices/scanimage.py",
        "                        over = True\n                        break", "                        pass",
        "tests/devices/test_document_scanner.py::test_a_backend_that_hangs_or_crashes_in_letting_go_changes_nothing_of_what_came"),
    mutation(
        "what was loaded is looked through again", "security/memory.py", "    gc.freeze()\n", "",
        "tests/security/test_memory.py::test_what_connections_leave_is_collected_soon_after_a_start_that_loaded_much"),
    mutation(
        "where a log was taken away the counter hears that all is kept", "edge/log_loss.py",
        "if not isinstance(error, JournalLogLost):", "if True:",
        "tests/edge/test_log_loss.py::test_the_counter_is_told_since_when_something_may_be_lost"),
    mutation(
        "the doctor asks for a start while a log is away", "edge/doctor.py", "if at_stake(current):", "if False:",
        "tests/edge/test_log_loss.py::test_nobody_is_told_to_start_or_boot_before_the_file_is_back"),
    mutation(
        "a log is asked back beside new pairings", "edge/door/pairing.py",
        "error.lacking if isinstance(error, LogLost) else str(error)", "str(error)",
        "tests/edge/door/test_door.py::test_nobody_is_asked_to_put_a_log_back_beside_new_pairings"),
    mutation(
        "each thread has a heap of its own", "security/memory.py", "mallopt(_M_ARENA_MAX, ARENAS_MAX)", "pass",
        "tests/security/test_memory.py::test_threads_share_their_heaps"),
    mutation(
        "the doctor trusts a journal that nobody opened", "edge/doctor.py",
        "wrong = await _wrong(files, geneses, agent_runs=agent_runs)", 'wrong = ""',
        "tests/edge/test_doctor.py::test_what_would_keep_the_agent_from_going_on_is_told_before_it_is_started"),
    mutation(
        "a log alone is settled as the whole journal", "edge/carry.py", "if not self._old.db.exists():", "if False:",
        "tests/edge/test_carry.py::test_a_log_whose_file_is_gone_is_not_settled_as_the_whole_journal"),
    mutation(
        "what a log does not hold counts as backed up", "edge/salvage.py",
        "backed_up_most = head.position if finds.of_database else 0", "backed_up_most = head.position",
        "tests/edge/test_export.py::test_what_stood_in_a_file_that_is_gone_is_lost_and_not_taken_for_pruned"),
    mutation(
        "a dropped log is forgotten", "edge/journal.py", "(await self._put_back(store, head) if kept else \"\")", '""',
        "tests/edge/test_flipped_bits.py::test_what_sqlite_drops_of_a_damaged_log_is_put_back"),
    mutation(
        "the journal's end not checked at its opening", "edge/journal.py",
        "stopped = stopped or await store.head_damage(head, standing.backed_up)", "pass",
        "tests/edge/test_journal_trouble.py::test_a_head_that_is_not_the_last_record_is_noticed_before_anything_is_written_on_it"),
)

KEYS = (
    mutation(
        "nonce of a seal used twice", "security/sealing.py", "        self._counter += 1\n", "        self._counter = 1\n",
        f"{_SEALING}::test_a_counter_never_repeats_under_one_data_key",
        "tests/edge/test_journal.py::test_no_data_key_and_no_nonce_serves_twice_however_often_it_starts"),
    mutation(
        "seal not bound to its place", "security/sealing.py", "position.to_bytes(8, \"big\") + kind.encode()", "kind.encode()",
        f"{_SEALING}::test_a_body_moved_to_another_position_does_not_open"),
    mutation(
        "data key not bound to its journal", "security/sealing.py",
        "return KEY_CONTEXT + edge.bytes + journal.bytes + hub_key_id",
        "return KEY_CONTEXT + edge.bytes + hub_key_id",
        f"{_SEALING}::test_a_wrapped_key_opens_for_its_hub_edge_and_journal_only"),
    mutation(
        "data key for ever", "edge/record_maker.py",
        "self._in_use is None or self._clock.boottime_ms() - self._in_use.born_ms > DATA_KEY_LIFE_MS", "self._in_use is None",
        "tests/edge/test_journal.py::test_a_data_key_lives_at_most_a_day"),
    mutation(
        "audit takes a counter twice", "hub/audit/seal_check.py",
        "register.use(record.journal, sealed.key_position, opened.secret, sealed.counter, carried=within is not None)\n",
        "pass\n",
        f"{_AUDIT}::test_a_counter_that_is_used_twice_or_goes_back_is_found"),
    mutation(
        "audit tells of its own findings", "hub/audit/auditor.py",
        "        noted = [one for one in found if not one.echo]\n", "        noted = found\n",
        f"{_AUDIT}::test_the_audit_of_a_damaged_own_journal_does_not_feed_itself"),
    mutation(
        "restore looks at entries only", "hub/restore.py", "    damage += file_findings(copy)\n", "",
        f"{_RESTORE}::test_a_damaged_page_of_a_table_without_entries_is_found_and_not_put_back"),
    mutation(
        "own journal signed by another key", "hub/ledger/own_journal.py",
        "        if not held.may_be_of(self._signer.public_key):", "        if False:",
        "tests/hub/test_command.py::test_the_hubs_own_journal_takes_nothing_signed_by_another_key"),
    mutation(
        "start with another hub's key", "hub/known_keys.py", "    if faults:\n", "    if False:\n",
        "tests/hub/test_command.py::test_another_hubs_whole_folder_of_keys_is_found_out_by_the_database"),
    mutation(
        "key of small order", "security/suites.py", "    if y in _SMALL_ORDER_Y:\n", "    if False:\n",
        "tests/security/external/test_wycheproof.py::test_a_key_of_small_order_is_refused_before_any_signature"),
    mutation(
        "nonce of another machine", "hub/enrolment/nonces.py", "edge.bytes + until", "until",
        f"{_RENEWALS}::test_a_nonce_serves_one_machine_and_for_a_minute"),
    mutation(
        "an invitation replaces any machine", "hub/enrolment/rejoin.py", "    if invitation.replaces != str(edge):",
        "    if False:", f"{_REJOIN_DESK}::test_an_invitation_replaces_the_machine_that_it_names_and_no_other"),
    mutation(
        "an identity ends before the hub was asked", "edge/rejoin_command.py", " and came_of(invitation, identity, address):",
        " and False:", "tests/edge/test_rejoin.py::test_an_invitation_that_does_not_replace_this_machine_ends_nothing_of_it"),
    mutation(
        "an invitation to replace enrols", "hub/enrolment/desk.py", "            if invitation.replaces is not None:",
        "            if False:", f"{_REJOIN_DESK}::test_an_invitation_to_replace_enrols_nobody_and_is_of_the_machines_site"),
    mutation(
        "a revoked machine asks by its own key", "hub/enrolment/old_identity.py", "        if known.revoked_by_person:",
        "        if False:", f"{_REJOIN_DESK}::test_a_machine_that_a_person_revoked_comes_back_by_an_invitation_only"),
    mutation(
        "an approval is of any journal", "hub/enrolment/rejoin_request.py", "sha256(b\"\".join(journals)), ", "",
        f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "an approval is of any record key", "hub/enrolment/rejoin_request.py", "sha256(application.record_public_key),", "",
        f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "a request that came before is of any key", "hub/enrolment/rejoin.py",
        "if not same or not self._fits(request, verifier):", "if False:",
        f"{_REJOIN_DESK}::test_what_was_registered_once_is_not_registered_otherwise"),
    mutation(
        "anybody's journal ends", "hub/enrolment/old_identity.py",
        "            if not heads[old].edge == request.old_edge != self._issuer.hub:", "            if False:",
        f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "a forgotten journal without its key's word", "hub/enrolment/old_identity.py", " and request.proved(stated[at])", "",
        f"{_REJOIN_DESK}::test_a_forgotten_journal_counts_only_with_its_record_keys_word"),
    mutation(
        "a known machine among the forgotten", "hub/enrolment/old_identity.py",
        "return keys != {(one.suite, one.public_key)}", "return False",
        f"{_REJOIN_DESK}::test_nobody_ends_a_machine_by_naming_it_among_his_forgotten_ones"),
    mutation(
        "what was acknowledged is taken for common", "hub/enrolment/rejoin.py", " and ledger.digest_at(head, at) == digest", "",
        f"{_REJOIN_DESK}::test_the_last_common_record_is_found_and_not_assumed"),
    mutation(
        "an answer is saved unchecked", "edge/admission.py", "    identity.check()\n", "",
        "tests/edge/test_rejoin.py::test_an_answer_that_could_not_be_worked_with_is_never_saved"),
    mutation(
        "a certificate of another key is saved", "edge/admission.py", "    if not same:", "    if False:",
        "tests/edge/test_rejoin.py::test_an_answer_that_could_not_be_worked_with_is_never_saved"),
    mutation(
        "a file makes any machine known", "hub/imports/successors.py", "if journal.journal not in file.lineage:", "if False:",
        "tests/hub/imports/test_forgotten.py::test_no_file_makes_a_forgotten_machine_of_one_that_did_not_sign_it"),
    mutation(
        "one key fills the desk's list", "hub/attention/approvals.py", "        if len(waiting) >= WAITING_MAX:",
        "        if False:",
        "tests/hub/attention/test_attention.py::test_one_machine_fills_no_list_and_is_heard_once_the_oldest_request_is_decided"),
    mutation(
        "renewal not signed by the present key", "hub/enrolment/renewals.py",
        "if not renewal_holds(x509.load_der_x509_certificate(present.certificate), request.signature, statement):", "if False:",
        f"{_RENEWALS}::test_only_the_present_key_signs_and_only_for_this_hub_machine_and_request"),
    Mutation(
        "generation counter not looked at", (
            Change("hub/enrolment/renewals.py", "if request.generation <= known.newest:", "if False:"),
            Change("hub/enrolment/renewals.py", "known.newest == request.generation - 1 and ", ""),
        ),
        (f"{_RENEWALS}::test_another_request_for_a_spent_generation_is_a_clone",
         f"{_RENEWALS}::test_a_backup_of_several_generations_ago_is_a_clone_too")),
    mutation(
        "renewed for a revoked machine", "hub/enrolment/renewals.py",
        "        if known.revoked_ms is not None:\n            raise MachineRevoked",
        "        if False:\n            raise MachineRevoked",
        f"{_RENEWALS}::test_nothing_is_renewed_for_a_revoked_machine"),
    mutation(
        "an old certificate works on", "hub/enrolment/callers.py", "        if caller.generation < known.newest_used:\n",
        "        if False:\n", f"{_CALLERS}::test_the_old_certificate_works_until_the_new_one_is_first_used"),
    mutation(
        "an expired certificate works on", "hub/enrolment/callers.py",
        "        if caller.not_after_ms <= self._clock.unix_ms():\n            raise expired(caller)\n", "",
        f"{_CALLERS}::test_an_expired_certificate_is_refused_even_where_tls_let_it_in"),
    mutation(
        "expiry not ending streams", "hub/enrolment/open_streams.py",
        "return expired(caller) if caller.not_after_ms <= now_ms else None", "return None",
        "tests/hub/enrolment/test_open_streams.py::test_the_end_of_the_certificate_ends_it_also_while_the_database_cannot_be_read"),
    mutation(
        "exposed key used", "security/private_files.py", "    if mode & 0o077:\n", "    if False:\n",
        "tests/security/test_private_files.py::test_a_secret_that_others_can_reach_is_not_used_and_the_error_says_how_to_mend_it"),
)

_TWO = "tests/edge/test_two_journals.py"
_EVENTS = "tests/edge/test_events_journal.py"
_BOTH = "tests/hub/enrolment/test_two_journals.py"

TWO_JOURNALS = (
    mutation(
        "events take the line from business", "edge/uplink.py", "        await self._way.free()\n", "",
        f"{_TWO}::test_behind_a_night_without_a_line_business_is_delivered_before_events"),
    mutation(
        "several batches of events at a time", "edge/uplink.py", "        while self._in_flight:\n", "        while False:\n",
        f"{_TWO}::test_a_flood_of_events_lets_each_transaction_pass_behind_one_batch_at_most"),
    mutation(
        "events take the disk from business", "edge/opening.py", "EVENTS_RESERVES * agent.config", "agent.config",
        f"{_EVENTS}::test_events_leave_the_rest_of_a_disk_to_transactions"),
    mutation(
        "full events are told to nobody", "edge/events_journal.py",
        "            await asyncio.to_thread(self._alarms.raise_alarm, ALARM, TEXT, HINT)\n", "",
        f"{_EVENTS}::test_a_full_journal_of_events_refuses_events_and_nothing_else"),
    mutation(
        "a journal under the other one's name", "edge/opening.py",
        "    if journal.identity.genesis.journal != identity.journals[name]:", "    if False:",
        f"{_EVENTS}::test_two_journals_whose_files_were_exchanged_are_not_written_on"),
    mutation(
        "a successor for each reason", "edge/successors.py", "if not self._begun:", "if True:",
        f"{_EVENTS}::test_an_identity_is_followed_by_one_for_whatever_reasons"),
    mutation(
        "one old journal is followed twice", "hub/enrolment/rejoin.py", "or len(request.old_journals) < sum", "or 0 > sum",
        f"{_BOTH}::test_nobody_ends_another_machines_journal_as_his_second"),
    mutation(
        "journals are followed in any order", "hub/ledger/own_journal.py", "dict(after).get(old.name, first).journal",
        "first.journal", f"{_BOTH}::test_each_journal_is_followed_by_the_one_of_its_name"),
    mutation(
        "anybody declares a journal", "hub/enrolment/declaring.py",
        "if not verifier.valid(signature, declaration_proof(edge, journal, name)):", "if False:",
        f"{_BOTH}::test_nobody_declares_a_journal_for_a_machine_whose_key_he_has_not"),
    mutation(
        "a journal of a machine that has ended is declared", "hub/enrolment/declaring.py", " and not head.closed", "",
        f"{_BOTH}::test_nobody_declares_a_journal_for_a_machine_whose_key_he_has_not"),
    mutation(
        "a restored hub remembers one journal of a machine", "hub/recall.py", "        if new or strange:\n",
        "        if strange:\n",
        f"{_BOTH}::test_a_restored_hub_knows_both_journals_of_a_machine_again"),
)

DEPARTURES = (
    mutation(
        "what nobody listed has left its list", "edge/equipment/departures.py", "if lister in whole and", "if",
        f"{_DEPARTURES}::test_a_reader_that_is_plugged_in_long_after_the_start_is_the_one_of_before_or_has_taken_its_place",
        f"{_DEPARTURES}::test_after_a_restart_what_left_its_list_counts_nowhere_and_a_card_reader_that_nobody_listed_still_does",
        f"{_ASSEMBLY}::test_card_readers_that_were_never_listed_are_still_looked_for_after_a_start"),
    mutation(
        "a damaged list names no device", "edge/equipment/device_list.py", "if self._of_hub() is None else", "if False else",
        f"{_DEPARTURES}::test_a_machine_that_has_lost_its_list_takes_nothing_for_gone_until_the_hub_has_sent_one",
        f"{_ASSEMBLY}::test_a_machine_whose_list_is_damaged_does_not_take_its_devices_for_gone"),
    mutation(
        "who lists a device is not kept", "edge/equipment/recorder.py", "            self._relisted = True\n", "",
        "tests/edge/equipment/test_recorder.py::test_who_lists_a_device_is_kept_though_nothing_happens_to_it"),
)

STOOD_STILL = (
    mutation(
        "a pulled card is called mute where the machine stood still", "devices/pcsc_card.py",
        "        for _ in range(REMOVAL_LOOKS):\n",
        "        last = time.monotonic() + 0.8\n        while time.monotonic() < last:\n",
        "tests/devices/test_no_mixed_people.py::test_on_a_machine_that_stands_still_a_pulled_card_is_not_called_mute"),
    mutation(
        "a pause of this machine is one of the scanner", "devices/scan_codes.py",
        "        self._pause = self._loop.call_later(HELD_UP_S, self._paused)", "        self._paused()",
        "tests/devices/test_scan_codes.py::test_the_other_half_is_no_code_though_the_machine_stood_still_before_it",
        "tests/devices/test_scan_codes.py::test_a_machine_that_stood_still_in_the_middle_of_a_code_cuts_none"),
    mutation(
        "a slow first reading gives time to change the card and back", "devices/id_card.py",
        "min(read_at - asked_at, ended_at - again_at, READING_MAX_S", "min(read_at - asked_at, READING_MAX_S",
        "tests/devices/test_no_mixed_id_cards.py::test_a_machine_that_stands_still_in_the_first_reading_leaves_no_hand_more_time"),
)
TOLD = (
    mutation(
        "a base that a later epoch has lost is asked for", "hub/ledger/signed_roots.py", "for one in _common(epochs)]",
        "for one in epochs]",
        "tests/hub/ledger/test_tree_verify.py::test_only_what_no_later_epoch_has_lost_must_be_what_an_epoch_began_with",
        "tests/hub/test_restore.py::test_a_second_restore_to_an_older_backup_leaves_a_ledger_that_verifies_and_can_be_backed_up"),
    mutation(
        "verify goes on in the middle of another file", "edge/verify.py",
        "if cursor.file != file or cursor.position > end:", "if False:",
        "tests/edge/test_verify.py::test_an_interrupted_check_says_nothing_of_a_file_that_was_put_in_its_place"),
    mutation(
        "a printer that lacks paper is well", "edge/equipment/events.py",
        "return Condition.FAULTY if _stopped(status) else Condition.HERE", "return Condition.HERE",
        "tests/edge/equipment/test_events.py::test_what_changes_is_told_once"),
    mutation(
        "one torn code sends people to have the scanner repaired", "devices/contract.py", "    reasons = (UNREADABLE,)\n",
        "    reasons = ()\n",
        "tests/edge/equipment/test_equipment.py::test_a_card_that_cannot_be_read_sends_nobody_to_repair_the_reader"),
)

GUARDS = (*SIGNED, *HISTORY, *KEYS, *TWO_JOURNALS, *DEPARTURES, *STOOD_STILL, *TOLD)
