"""Kill switches: set by anyone with a reason, lifted by two persons, the same after replay."""

from collections.abc import Callable

import pytest

from hotpath.enums import HaltLevel, HaltScope
from risk.halts import HaltAction, HaltBook, HaltChange, HaltRefused


def stop(book: HaltBook, level: HaltLevel = HaltLevel.NO_NEW, target: str = "A1", actor: str = "ann") -> HaltChange:
    scope = HaltScope.ACCOUNT if target else HaltScope.GLOBAL
    return do(book, book.to_set(scope=scope, target=target, level=level, reason="loss limit", actor=actor, wall_ns=5))


def do(book: HaltBook, change: HaltChange) -> HaltChange:
    book.apply(change)
    return change


def test_the_strictest_of_several_is_in_force() -> None:
    book = HaltBook()
    assert stop(book).effective == HaltLevel.NO_NEW
    assert stop(book, HaltLevel.CANCEL_ALL).effective == HaltLevel.CANCEL_ALL
    assert stop(book, HaltLevel.REDUCE_ONLY).effective == HaltLevel.CANCEL_ALL
    assert book.effective(HaltScope.ACCOUNT, "A2") == HaltLevel.ARMED
    do(book, book.to_request_lift(2, actor="ann", reason="cause found", wall_ns=6))
    assert book.effective(HaltScope.ACCOUNT, "A1") == HaltLevel.CANCEL_ALL
    lifted = do(book, book.to_confirm_lift(2, actor="bob", wall_ns=7))
    assert (lifted.action, lifted.effective, lifted.reason) == (HaltAction.LIFTED, HaltLevel.REDUCE_ONLY, "cause found")
    assert [halt.halt_id for halt in book.active()] == [1, 3]


def test_one_person_cannot_lift_alone() -> None:
    book = HaltBook()
    stop(book)
    with pytest.raises(HaltRefused, match="nobody asked"):
        book.to_confirm_lift(1, actor="bob", wall_ns=6)
    do(book, book.to_request_lift(1, actor="ann", reason="cause found", wall_ns=6))
    with pytest.raises(HaltRefused, match="another person"):
        book.to_confirm_lift(1, actor="ann", wall_ns=7)
    assert book.effective(HaltScope.ACCOUNT, "A1") == HaltLevel.NO_NEW


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda book: stop(book, HaltLevel.ARMED), "stops nothing"),
        (lambda book: stop(book, actor=" "), "actor is required"),
        (
            lambda book: book.to_set(
                scope=HaltScope.GLOBAL, target="", level=HaltLevel.NO_NEW, reason="", actor="ann", wall_ns=1
            ),
            "reason is required",
        ),
        (
            lambda book: book.to_set(
                scope=HaltScope.GLOBAL, target="A1", level=HaltLevel.NO_NEW, reason="x", actor="ann", wall_ns=1
            ),
            "no target",
        ),
        (lambda book: stop(book, actor="a" * 65), "longer than 64 bytes"),
        (lambda book: book.to_request_lift(9, actor="ann", reason="x", wall_ns=1), "not in force"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(change: Callable[[HaltBook], object], why: str) -> None:
    book = HaltBook()
    with pytest.raises(HaltRefused, match=why):
        change(book)
    assert book.to_dict() == {"last_id": 0, "active": []}


def test_replay_and_a_saved_state_give_the_same_book() -> None:
    book = HaltBook()
    changes = [stop(book), stop(book, HaltLevel.FLATTEN, target="", actor="watchdog")]
    changes.append(do(book, book.to_request_lift(1, actor="ann", reason="cause found", wall_ns=6)))
    replayed = HaltBook()
    for change in changes:
        replayed.apply(change)
    assert replayed.to_dict() == book.to_dict()
    restored = HaltBook.from_dict(book.to_dict())
    assert restored.active() == book.active()
    for each in (book, restored):
        do(each, each.to_confirm_lift(1, actor="bob", wall_ns=8))
    assert restored.to_dict() == book.to_dict()
    assert stop(restored).halt_id == 3  # an id is never used twice
