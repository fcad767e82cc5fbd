"""Guards beyond those that the campaign names: signatures, chains, the tree, keys, renewals, holes, salvage."""

from __future__ import annotations

from tests.mutations.mutation import Change, Mutation, mutation

_HOLES = "tests/hub/ledger/test_holes.py"
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
        "return TakenBack(ledger.journal(self._hub).position - before, self._lost)",
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
        "a dropped log is forgotten", "edge/journal.py", "(await self._put_back() if kept else \"\")", '""',
        "tests/edge/test_flipped_bits.py::test_what_sqlite_drops_of_a_damaged_log_is_put_back"),
    mutation(
        "the journal's end not checked at its opening", "edge/journal.py",
        "self.stopped = self.stopped or await self._store.head_damage(self.head, self.standing.backed_up)", "pass",
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
        "key of small order", "security/suites.py", "    if y in _SMALL_ORDER_Y:\n", "    if False:\n",
        "tests/security/external/test_wycheproof.py::test_a_key_of_small_order_is_refused_before_any_signature"),
    mutation(
        "nonce of another machine", "hub/enrolment/nonces.py", "edge.bytes + until", "until",
        f"{_RENEWALS}::test_a_nonce_serves_one_machine_and_for_a_minute"),
    mutation(
        "an invitation replaces any machine", "hub/enrolment/rejoin.py", "        if row.replaces != str(request.old_edge):",
        "        if False:", f"{_REJOIN_DESK}::test_an_invitation_replaces_the_machine_that_it_names_and_no_other"),
    mutation(
        "an invitation to replace enrols", "hub/enrolment/desk.py", "            if invitation.replaces is not None:",
        "            if False:", f"{_REJOIN_DESK}::test_an_invitation_to_replace_enrols_nobody_and_is_of_the_machines_site"),
    mutation(
        "a revoked machine asks by its own key", "hub/enrolment/old_identity.py", "        if known.revoked_by_person:",
        "        if False:", f"{_REJOIN_DESK}::test_a_machine_that_a_person_revoked_comes_back_by_an_invitation_only"),
    mutation(
        "an approval is of any journal", "hub/enrolment/rejoin_request.py", "self.edge.bytes, self.journal[0].bytes,",
        "self.edge.bytes,", f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "an approval is of any record key", "hub/enrolment/rejoin_request.py", "sha256(application.record_public_key), ", "",
        f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "a request that came before is of any key", "hub/enrolment/rejoin.py",
        "if not same or not self._fits(request, verifier):", "if False:",
        f"{_REJOIN_DESK}::test_what_was_registered_once_is_not_registered_otherwise"),
    mutation(
        "anybody's journal ends", "hub/enrolment/old_identity.py",
        "            if owner != request.old_edge or owner == self._issuer.hub:", "            if False:",
        f"{_REJOIN_DESK}::test_an_approval_is_of_one_request"),
    mutation(
        "a forgotten journal without its key's word", "hub/enrolment/old_identity.py", " or not request.proved(one)", "",
        f"{_REJOIN_DESK}::test_a_forgotten_journal_counts_only_with_its_record_keys_word"),
    mutation(
        "a known machine among the forgotten", "hub/enrolment/old_identity.py",
        " or any(self._is_machine(one.edge) for one in found[:-1])", "",
        f"{_REJOIN_DESK}::test_nobody_ends_a_machine_by_naming_it_among_his_forgotten_ones"),
    mutation(
        "what was acknowledged is taken for common", "hub/enrolment/rejoin.py", " and ledger.digest_at(old, at) == digest", "",
        f"{_REJOIN_DESK}::test_the_last_common_record_is_found_and_not_assumed"),
    mutation(
        "an answer is saved unchecked", "edge/admission.py", "    identity.check()\n", "",
        "tests/edge/test_rejoin.py::test_an_answer_that_could_not_be_worked_with_is_never_saved"),
    mutation(
        "a certificate of another key is saved", "edge/admission.py", "    if not same:", "    if False:",
        "tests/edge/test_rejoin.py::test_an_answer_that_could_not_be_worked_with_is_never_saved"),
    mutation(
        "a file makes any machine known", "hub/imports/successors.py", "if journal.journal not in file.lineage or (", "if (",
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

GUARDS = (*SIGNED, *HISTORY, *KEYS)
