"""The SDK's pieces by themselves: signatures, decimals, triggers, the clock, the book, names."""

import base64
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backstay import At, Ed25519Secret, HmacSecret, Stop, Trail, load_secret
from backstay._wire.events import Accepted, Terms, Trade
from backstay.book import Book
from backstay.clock import ServerClock, SystemClock
from backstay.credentials import Credentials, Secret
from backstay.decimals import decimal_text
from backstay.gateway import _names
from backstay.terms import wire_members

BYTES = bytes(range(32))


@pytest.mark.parametrize(
    ("secret", "sig"),
    [
        (
            Ed25519Secret(BYTES),
            "/7qCfdJ0LDJd7IMFRG+1LlwACmT30vhQeFmcmXpmLCSkch/oqMRUWrtpzmYjc64JDkaYrgFnhmAxUEFcFMpVDA==",
        ),
        (HmacSecret(BYTES), "j/EbAZVhTw1DV0pcJdAiqcKir3EPyoZpluoDB80fYF4="),
    ],
)
def test_the_signature_is_that_of_the_protocol(secret: Secret, sig: str) -> None:
    credentials = Credentials("trend-key-1", "trend", secret)
    assert credentials.signature(aud="gw.example", nonce="q3VtYmVyOS1ub25jZS0wMDAx") == sig


def test_a_secret_is_read_from_each_form(tmp_path: Path) -> None:
    encoded = base64.b64encode(BYTES).decode()
    pem = Ed25519PrivateKey.from_private_bytes(BYTES).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "a.pem").write_bytes(pem)
    (tmp_path / "a.ed25519").write_text(encoded + "\n")
    (tmp_path / "a.txt").write_text("a long secret of words\n")
    (tmp_path / "b").write_text(f"hmac:{encoded}\n")
    for name in ("a.pem", "a.ed25519"):
        assert load_secret(str(tmp_path / name)) == Ed25519Secret(BYTES)
    assert load_secret(str(tmp_path / "b")) == HmacSecret(BYTES)
    assert load_secret(tmp_path / "a.txt") == HmacSecret(b"a long secret of words")
    assert load_secret(f"ed25519:{encoded}") == Ed25519Secret(BYTES)
    assert encoded not in repr(load_secret(f"hmac:{encoded}"))


@pytest.mark.parametrize(
    ("value", "text"), [("187.20", "187.20"), (100, "100"), (Decimal("1E+2"), "100"), (Decimal("1E-9"), "0.000000001")]
)
def test_exact_values_become_wire_decimals(value: Decimal | int | str, text: str) -> None:
    assert decimal_text(value, "qty") == text


@pytest.mark.parametrize("value", ["1e3", "+1", "01", "", "1.", ".5", "1.0000000001", "NaN", Decimal("NaN")])
def test_what_no_wire_decimal_can_say_is_a_value_error(value: Decimal | str) -> None:
    with pytest.raises(ValueError, match="no decimal"):
        decimal_text(value, "px")


@pytest.mark.parametrize("value", [1.5, True, None, b"1"])
def test_what_is_not_exact_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="px is a"):
        decimal_text(value, "px")  # type: ignore[arg-type]


def test_triggers_write_what_the_protocol_reads() -> None:
    stop = Stop("181.50", source="bid", confirm_ticks=2).to_wire()
    assert (stop.kind, stop.stop_px, stop.source, stop.confirm.ticks) == ("stop", "181.50", "bid", 2)  # type: ignore[union-attr]
    trail = Trail(bps=75).to_wire().trail
    assert trail is not None
    assert (trail.bps, trail.amount) == ("75", None)
    assert At(after_ms=5).to_wire().after_ms == 5
    with pytest.raises(ValueError, match="exactly one"):
        Trail(bps=1, pct=1).to_wire()


def test_a_term_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="stop_px"):
        wire_members("buy", "AAPL", 1, {"stop_px": "1"})  # type: ignore[typeddict-unknown-key]


def test_names_fit_and_do_not_repeat() -> None:
    make = _names("a-session-name-that-is-rather-long-12", SystemClock().wall_ns())
    names = [make() for _ in range(1000)]
    assert len(set(names)) == 1000
    assert max(map(len, names)) <= 36


def test_the_clock_follows_the_soonest_heard_word() -> None:
    clock = ServerClock(SystemClock())
    assert clock.now_ns() is None
    clock.observe(10**18)
    clock.observe(10**18 - 10**9)  # a frame that came a second late hardly moves it
    now = clock.now_ns()
    assert now is not None
    assert now > 10**18 - 10**8


def fill(seq: int, qty: str, px: str, pos: str) -> Trade:
    return Trade(
        account="A1", seq=seq, ts_ns=0, cl_ord_id="a", order_id="o", rev=1, ord_status="partially_filled",
        pending=None, cum_qty=Decimal(0), leaves_qty=Decimal(0), avg_px=None, exec_id=str(seq), last_qty=Decimal(qty),
        last_px=Decimal(px), pos_qty=Decimal(pos),
    )  # fmt: skip


def test_the_average_price_follows_the_position() -> None:
    book = Book()
    terms = Terms(symbol="X", side="buy", ord_type="market", qty=Decimal(9), tif="day", reduce_only=False, origin="api")
    accepted = Accepted(
        account="A1", seq=1, ts_ns=0, cl_ord_id="a", order_id="o", rev=1, ord_status="pending_new", pending=None,
        cum_qty=Decimal(0), leaves_qty=Decimal(9), avg_px=None, order=terms,
    )  # fmt: skip
    book.apply_order(accepted)
    steps = [("10", "100", "10", 100), ("10", "110", "20", 105), ("5", "90", "15", 105), ("20", "95", "-5", 95)]
    for seq, (qty, px, pos, average) in enumerate(steps, 2):
        book.apply_order(fill(seq, qty, px, pos))
        assert book.positions["X"].avg_px == average
    book.apply_order(fill(9, "5", "95", "0"))
    assert book.positions["X"].avg_px is None
