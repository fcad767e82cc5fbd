"""What keeps strangers' pages out of the counter's door, and residents off its screen, taken out one at a time."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, mutation

GUARD, FILES, MASK = "edge/door/guard.py", "edge/door/page_routes.py", "edge/page/mask.js"
HOSTILE = "tests/acceptance/test_hostile_page.py::"
PAGE = "tests/acceptance/test_device_page.py::"
SERVED = "tests/edge/door/test_page.py::"

DOORS: tuple[Mutation, ...] = (
    mutation("any Host is this door's", GUARD, 'return headers.getlist("host") in', 'return True or headers.getlist("host") in',
             HOSTILE + "test_a_name_that_is_turned_to_this_machine_gets_nothing"),
    mutation("any page is known", GUARD, "return origin in (None, _own(headers)) or", "return True or",
             HOSTILE + "test_a_foreign_page_gets_nothing_whatever_token_or_code_it_stole",
             HOSTILE + "test_a_form_changes_nothing"),
    mutation("what another site embeds passes for the page's own", GUARD, 'if site == "same-origin" else site', "",
             SERVED + "test_a_link_of_another_site_opens_the_page_but_loads_no_part_of_it",
             SERVED + "test_the_token_of_the_page_works_on_the_page_alone"),
    mutation("the page's GET passes for a program's", GUARD, '_own(headers) if site == "same-origin" else site', "None",
             SERVED + "test_the_token_of_the_page_works_on_the_page_alone", PAGE + "test_the_queue_and_the_line_are_told"),
    mutation("a token works from every paired origin", GUARD, "== (origin or NATIVE)", "is not None",
             HOSTILE + "test_a_paired_page_has_no_more_than_its_own_token_opens"),
    mutation("a token opens a window of every paired origin", "edge/door/windows.py",
             'return bound_to == socket.headers.get("origin", NATIVE)', "return bound_to is not None",
             HOSTILE + "test_a_paired_page_has_no_more_than_its_own_token_opens"),
    mutation("a code is good for every origin", "edge/door/pairing.py",
             "hash = ? AND origin = ? AND", "hash = ? AND (1 OR origin = ?) AND",
             SERVED + "test_a_code_of_the_page_is_worth_nothing_to_others"),
    mutation("the page keeps a tie to who opened it", FILES, '"Cross-Origin-Opener-Policy": "same-origin",', "",
             HOSTILE + "test_a_stranger_who_opens_the_page_cannot_reach_into_it"),
    mutation("the page runs what comes from elsewhere", FILES, "script-src 'self'", "script-src *",
             SERVED + "test_the_page_and_its_files_need_no_token_and_run_nothing_of_others"),
    mutation("the code stays in the address bar", "edge/page/page.js",
             'history.replaceState(null, "", location.pathname)', "null",
             PAGE + "test_the_page_is_paired_by_its_link_once_and_keeps_its_token"),
    mutation("ID numbers in full on the screen", MASK, "if (number.length > 10) return", "return number; return",
             PAGE + "test_a_card_is_read_and_nobody_is_shown_in_full", PAGE + "test_names_and_numbers_are_masked"),
    mutation("names in full on the screen", MASK, "const letters = [...name];", "const letters = [...name]; return name;",
             PAGE + "test_a_card_is_read_and_nobody_is_shown_in_full", PAGE + "test_names_and_numbers_are_masked"),
    mutation("the page does not come back by itself", "edge/page/page.js",
             "setTimeout(() => paired() && live.open(), AGAIN_MS);", "",
             PAGE + "test_an_agent_that_stops_is_told_and_comes_back_by_itself"),
)
