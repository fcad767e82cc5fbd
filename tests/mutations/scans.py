"""Guards of attachments: sealing, naming, the way up, the hub's bounds, backups and reading."""

from __future__ import annotations

from tests.mutations.mutation import mutation

_SEAL = "tests/security/test_attachment.py"
_MACHINE = "tests/edge/attachments/test_attachments.py"
_UPLOADER = "tests/edge/attachments/test_uploader.py"
_DOOR = "tests/edge/door/test_attachments.py"
_INBOX = "tests/hub/attachments/test_inbox.py"
_COPIES = "tests/hub/attachments/test_copies.py"
_API = "tests/hub/api/test_attachments.py"
_PROMISE = "tests/test_attachments.py"
_DURABLE = "tests/test_durable.py::test_nothing_that_is_promised_is_in_memory_only"

SCANS = (
    mutation(
        "scans: the last chunk is not marked", "security/attachment.py", 'return number.to_bytes(11, "big") + bytes([last])',
        'return number.to_bytes(12, "big")',
        f"{_SEAL}::test_chunks_cannot_be_cut_off_swapped_repeated_or_changed_though_the_record_says_so"),
    mutation(
        "scans: chunks are not numbered", "security/attachment.py", "        self._number += 1\n", "",
        f"{_SEAL}::test_it_opens_as_it_was_however_it_came_in"),
    mutation(
        "scans: the content is not checked", "security/attachment.py", "    if sha256(content) != seal.sha256:", "    if False:",
        f"{_SEAL}::test_what_the_record_says_is_checked"),
    mutation(
        "scans: the size is not bounded", "security/attachment.py", "        if self._size > ATTACHMENT_MAX_BYTES:",
        "        if False:", f"{_SEAL}::test_too_much_is_refused_before_it_is_sealed",
        f"{_MACHINE}::test_a_sender_that_hangs_up_or_sends_too_much_leaves_nothing"),
    mutation(
        "scans: another media type than was said", "edge/attachments/media_types.py",
        "if found is None or said not in (None, found):", "if found is None:",
        f"{_MACHINE}::test_what_is_no_document_is_refused_and_leaves_nothing",
        f"{_DOOR}::test_only_documents_are_taken_told_by_their_content"),
    mutation(
        "scans: quota not held", "edge/attachments/room.py",
        "    if named_bytes + unnamed_bytes > limits.quota_bytes:", "    if False:",
        f"{_MACHINE}::test_quota_reserve_and_what_nobody_has_named_are_limits"),
    mutation(
        "scans: keys outlive ten minutes", "edge/attachments/attachments.py",
        "return attached if attached and self.is_fresh(attached.seal.address) else None", "return attached",
        f"{_MACHINE}::test_what_nobody_names_in_ten_minutes_is_gone_with_its_key",
        f"{_DOOR}::test_a_scan_that_is_unknown_or_too_old_is_told_with_all_else"),
    mutation(
        "scans: not named before the record", "edge/door/routes.py",
        "            await name(self._attachments, attached, submission.id)\n", "",
        f"{_DOOR}::test_a_scan_is_named_by_a_transaction_whose_sealed_body_alone_has_its_key",
        f"{_DOOR}::test_a_repeat_after_a_restart_needs_no_scan"),
    mutation(
        "scans: who is cancelled leaves a half", "edge/attachments/intake.py",
        "        await asyncio.wait([running])\n        running.exception()", "        running.cancel()",
        f"{_MACHINE}::test_who_is_cancelled_in_a_write_leaves_nothing"),
    mutation(
        "scans: fsync of a blob skipped", "edge/attachments/blob_folder.py", "        os.fsync(self._file.fileno())\n", "",
        _DURABLE),
    mutation(
        "scans: parts are sent while a record waits", "edge/attachments/uploader.py",
        "        await self._until_idle()\n        loop = asyncio", "        loop = asyncio",
        f"{_PROMISE}::test_no_part_is_sent_while_a_record_waits",
        f"{_PROMISE}::test_a_big_scan_delays_a_transaction_by_no_more_than_one_part"),
    mutation(
        "scans: a damaged blob is sent", "edge/attachments/uploader.py", "if damage := await self._damage(address):",
        'if damage := "":', f"{_UPLOADER}::test_a_blob_that_the_disk_has_changed_is_told_and_stands_in_nobodys_way"),
    mutation(
        "scans: forgotten once held", "edge/attachments/uploader.py", "        if fate is Fate.SAFE:",
        "        if fate in (Fate.SAFE, Fate.HELD):",
        f"{_PROMISE}::test_each_message_lost_or_doubled_in_turn",
        f"{_PROMISE}::test_a_hub_that_lost_its_attachments_gets_them_again"),
    mutation(
        "scans: orphans go while nobody can tell", "edge/attachments/uploader.py", "if stored is None or self._attachments",
        "if self._attachments", f"{_UPLOADER}::test_what_no_record_names_after_all_is_not_sent_and_goes_after_hours"),
    mutation(
        "scans: the hub believes the address", "hub/attachments/files.py", "        if _digest(path) != address:\n",
        "        if False:\n", f"{_INBOX}::test_bytes_that_are_not_what_their_address_says_are_thrown_away",
        f"{_UPLOADER}::test_what_the_hub_has_of_a_changed_part_is_thrown_away_and_sent_again"),
    mutation(
        "scans: fsync at the hub skipped", "hub/attachments/files.py", "            os.fsync(descriptor)\n", "            pass\n",
        _DURABLE),
    mutation(
        "scans: parts from elsewhere are kept", "hub/attachments/inbox.py", "if part.offset != held or not part.data:",
        "if not part.data:", f"{_INBOX}::test_a_part_from_elsewhere_is_not_kept_and_the_hubs_word_is_said_again"),
    mutation(
        "scans: no bound for what no record names", "hub/attachments/inbox.py",
        "        if count >= UNNAMED_MAX or size + part.size > UNNAMED_MAX_BYTES:", "        if False:",
        f"{_INBOX}::test_a_machine_has_few_begun_ones_and_few_that_nobody_names",
        f"{_UPLOADER}::test_a_machine_cannot_fill_the_hub_with_what_no_record_names"),
    mutation(
        "scans: the hub's disk is not left to records", "hub/attachments/inbox.py",
        "if shutil.disk_usage(self._disk).free - len(part.data) < self._reserve_bytes:", "if False:",
        f"{_INBOX}::test_the_disk_is_left_to_records"),
    mutation(
        "scans: safe without the record", "hub/attachments/inbox.py",
        "        if address.hex() not in named:\n            return Fate.UNNAMED\n", "",
        f"{_PROMISE}::test_a_scan_is_forgotten_once_a_backup_holds_it_and_its_record"),
    mutation(
        "scans: a damaged one is safe in a backup", "hub/attachments/copies.py",
        "    if hashlib.sha256(sealed).digest() != address:\n        return False\n", "",
        f"{_COPIES}::test_no_machine_forgets_what_is_damaged_at_the_hub_and_it_is_sent_again"),
    mutation(
        "scans: verify believes the name", "hub/attachments/copies.py", 'return "" if files.intact(address) else',
        'return "" if True else',
        f"{_COPIES}::test_verify_names_record_and_machine_of_what_is_gone_or_damaged"),
    mutation(
        "scans: readings are not noted", "hub/api/attachments.py",
        "        await asyncio.to_thread(own_journal.note, KIND, _access(record, place, token))\n", "",
        f"{_API}::test_one_is_opened_for_a_token_that_may_and_the_ledger_says_so",
        f"{_API}::test_nothing_is_given_out_that_cannot_be_noted"),
    mutation(
        "scans: any scope opens one", "hub/api/attachments.py", "guard(engine, clock, Scope.ATTACHMENTS)",
        "guard(engine, clock, Scope.FEED)", f"{_API}::test_no_other_scope_opens_one"),
)
