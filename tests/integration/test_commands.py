"""The command line against a running deployment: answers, JSON, exit statuses."""

import contextlib
import io
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backstay.sync import Gateway
from gateway.child import command
from gateway.cli import main
from tests.integration.command_line import backstay_process, environment
from tests.integration.conftest import Running

pytestmark = pytest.mark.e2e
TIMEOUT_S = 60


def backstay(*arguments: str) -> tuple[int, Any]:
    """Exit status, and the JSON lines on standard output (one: the value itself)."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    return int(ended.value.code or 0), lines[0] if len(lines) == 1 else lines


def order(running: Running, what: str, *arguments: str) -> tuple[int, Any]:
    deployment = running.deployment
    return backstay(
        "order", what, *arguments, "--url", deployment.ws_url, "--key", "A1", "--account", "A1", "--data-dir",
        str(deployment.data_dir),
    )  # fmt: skip


def kill(running: Running, key: str, what: str, *arguments: str) -> tuple[int, Any]:
    deployment = running.deployment
    return backstay(
        "kill", what, *arguments, "--url", deployment.http_url, "--key", key, "--data-dir", str(deployment.data_dir)
    )


def test_orders_are_placed_listed_and_canceled(running: Running) -> None:
    status, placed = order(
        running, "place", "--side", "buy", "--symbol", "BTCUSDT", "--qty", "0.1", "--cl-ord-id", "c-1", "--wait", "done"
    )  # fmt: skip
    assert (status, placed["ord_status"], placed["cum_qty"]) == (0, "filled", "0.1")
    status, stop = order(
        running, "place", "--side", "sell", "--symbol", "BTCUSDT", "--qty", "0.1", "--stop-px", "1000", "--reduce-only",
        "--tif", "gtc", "--cl-ord-id", "c-2",
    )  # fmt: skip
    assert (status, stop["ord_status"], stop["order"]["trigger"]["stop_px"]) == (0, "held", "1000")
    status, listed = order(running, "list", "--status", "held")
    assert (status, [item["cl_ord_id"] for item in listed["orders"]]) == (0, ["c-2"])
    status, held = order(running, "positions")
    assert (status, held["positions"][0]["pos_qty"]) == (0, "0.1")
    assert order(running, "cancel", "--cl-ord-id", "c-2")[0] == 0
    status, answer = order(running, "cancel", "--cl-ord-id", "c-2")
    assert (status, answer["error"]) == (1, "ORDER_DONE") or answer.get("t") in ("canceled", "pending_cancel")
    status, answer = order(running, "cancel", "--all")
    assert (status, answer["count"]) == (0, 0)


def test_a_refusal_exits_1_and_a_wrong_use_exits_2(running: Running) -> None:
    status, answer = order(running, "place", "--side", "buy", "--symbol", "NONE", "--qty", "1")
    assert (status, answer["error"]) == (1, "UNKNOWN_SYMBOL")
    assert order(running, "place", "--side", "up", "--symbol", "BTCUSDT", "--qty", "1")[0] == 2
    assert order(running, "cancel")[0] == 2
    assert order(running, "place", "--side", "buy", "--symbol", "BTCUSDT", "--qty", "abc")[1]["error"] == "BAD_VALUE"
    assert order(running, "list", "--secret", "no-such-file")[0] == 2
    assert backstay("order", "list", "--url", "http://127.0.0.1", "--secret", "hmac:AAAA")[0] == 2
    status, answer = backstay("check-config", "--set", "gateway.shard=99999", "--set", "gateway.mode=soft")
    assert (status, answer["error"], len(answer["detail"])) == (2, "CONFIG", 2)
    assert "'paper', 'live'" in answer["text"]
    assert backstay("check-config", "--set", "gateway.shard")[0] == 2


def test_kill_switches_are_set_listed_and_lifted_by_two_keys(running: Running) -> None:
    status, halt = kill(running, "ops-1", "set", "--scope", "account:A3", "--level", "no_new", "--reason", "drill")
    assert (status, halt["scope"]) == (0, "account:A3")
    status, listed = kill(running, "ops-2", "list")
    assert (status, [item["halt_id"] for item in listed["halts"]]) == (0, [halt["halt_id"]])
    status, asked = kill(running, "ops-1", "lift", "--id", halt["halt_id"])
    assert (status, asked["state"]) == (0, "requested")
    assert kill(running, "ops-1", "lift", "--id", halt["halt_id"])[0] == 1
    status, lifted = kill(running, "ops-2", "lift", "--id", halt["halt_id"])
    assert (status, lifted["state"]) == (0, "lifted")


def test_the_journal_is_verified_dumped_and_counted_while_it_grows(running: Running) -> None:
    data_dir = str(running.deployment.data_dir)
    status, report = backstay("journal", "verify", "--data-dir", data_dir)
    assert (status, report["is_sound"]) == (0, True)
    status, stats = backstay("journal", "stats", "--data-dir", data_dir)
    assert (status, stats["kinds"]["accepted"]["records"]) == (0, 2)
    status, records = backstay("journal", "dump", "--data-dir", data_dir, "--account", "A1")
    assert status == 0
    assert [record["event"]["seq"] for record in records] == list(range(1, len(records) + 1))
    assert records[0]["event"]["order"]["symbol"] == "BTCUSDT"
    for folder in (f"{data_dir}/nothing", f"{data_dir}/keys"):
        status, answer = backstay("journal", "dump", "--dir", folder)
        assert (status, answer["error"]) == (1, "NO_JOURNAL")


def test_a_damaged_journal_exits_3(running: Running, tmp_path: Path) -> None:
    source = running.deployment.data_dir / "journal"
    for file in source.glob("*.seg"):
        data = bytearray(file.read_bytes())
        if b"BTCUSDT" in data:
            data[data.index(b"BTCUSDT")] ^= 0xFF
        (tmp_path / file.name).write_bytes(data)
    status, report = backstay("journal", "verify", "--dir", str(tmp_path))
    assert (status, report["is_sound"]) == (3, False)
    assert report["corruption"]["what"]


@pytest.mark.parametrize("kind", ["ed25519", "hmac"])
def test_a_new_key_is_written_for_its_owner_only(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "key"
    status, made = backstay("keys", "new", "--name", "k", "--out", str(out), "--kind", kind, "--accounts", "A1")
    assert (status, made["kind"]) == (0, kind)
    assert out.stat().st_mode & 0o077 == 0
    assert out.read_text().startswith(f"{kind}:")
    file = tmp_path / "backstay.toml"
    file.write_text('[[accounts]]\nname = "A1"\n' + made["config"])
    assert backstay("check-config", "--config", str(file))[1]["keys"] == ["k"]
    assert backstay("keys", "new", "--name", "k", "--out", str(out))[0] == 1
    other = ("--out", str(tmp_path / "other"))
    assert backstay("keys", "new", "--name", "a b", *other)[0] == 2
    assert backstay("keys", "new", "--name", "k", "--scopes", "fly", *other)[0] == 2
    assert not (tmp_path / "other").exists()


def test_a_port_in_use_or_a_closed_folder_is_told_in_a_line_and_ends_up(running: Running, tmp_path: Path) -> None:
    taken = f"gateway.http_port={running.deployment.http_port}"
    settings = ["gateway.ws_port=0", taken, "venue.ws_port=0", "broker.sim.address=tcp://127.0.0.1:0"]
    free = [word for setting in settings for word in ("--set", setting)]
    for name in ("gateway", "up"):
        ended = backstay_process(name, "--data-dir", str(tmp_path / name), *free)
        assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
        assert "the gateway cannot start" in ended.stderr
        assert "already in use" in ended.stderr
    closed = tmp_path / "closed"
    closed.touch()
    for name in ("gateway", "venue", "up"):
        ended = backstay_process(name, "--data-dir", str(closed), *free)
        assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
        assert "cannot start" in ended.stderr


@contextlib.contextmanager
def up(data_dir: Path) -> Iterator[dict[str, Any]]:
    """`backstay up` on free ports, ended in order; its ports."""
    settings = ["gateway.ws_port=0", "gateway.http_port=0", "venue.ws_port=0", "broker.sim.address=tcp://127.0.0.1:0"]
    free = [word for setting in settings for word in ("--set", setting)]
    argv = command("up", "--json", "--data-dir", str(data_dir), *free)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(TIMEOUT_S)
        assert status == 0


def test_a_kill_switch_needs_no_configuration_on_paper(tmp_path: Path) -> None:
    with up(tmp_path) as ports:
        where = ("--url", f"http://127.0.0.1:{ports['http_port']}", "--data-dir", str(tmp_path))
        status, halt = backstay("kill", "set", "--reason", "drill", *where)
        assert (status, halt["level"]) == (0, "no_new")
        assert backstay("kill", "lift", "--id", halt["halt_id"], *where)[1]["state"] == "requested"
        lifted = backstay("kill", "lift", "--id", halt["halt_id"], "--key", "ops-2", *where)
        assert lifted[1]["state"] == "lifted"


def test_an_order_that_rests_at_the_venue_outlives_a_restart_of_both(tmp_path: Path) -> None:
    buy = ("--side", "buy", "--symbol", "XRPUSDT", "--qty", "10", "--tif", "gtc", "--cl-ord-id", "rests")
    with up(tmp_path) as ports:
        where = ("--url", f"ws://127.0.0.1:{ports['ws_port']}/v1/ws", "--data-dir", str(tmp_path))
        refused = backstay("order", "place", *buy, "--px", "0.0001", *where)[1]
        lowest = Decimal(refused["detail"]["passes"]["px"])  # the market goes on: keep clear of the collar's edge
        px = str((lowest * Decimal("1.01")).quantize(Decimal("0.0001")))
        status, placed = backstay("order", "place", *buy, "--px", px, "--wait", "working", *where)
        assert (status, placed["ord_status"]) == (0, "new")
    with up(tmp_path) as ports:
        secret = str(tmp_path / "keys/demo.secret")
        url = f"ws://127.0.0.1:{ports['ws_port']}/v1/ws"
        with Gateway(url, key="demo", secret=secret, account="DEMO", session="after") as gw:
            order = gw.order("rests")
            order.cancel()
            assert order.done(timeout=TIMEOUT_S).ord_status == "canceled"


def test_up_starts_both_restarts_a_dead_gateway_and_ends_in_order(tmp_path: Path) -> None:
    settings = ["gateway.ws_port=0", "gateway.http_port=0", "venue.ws_port=0", "broker.sim.address=tcp://127.0.0.1:0"]
    argv = command("up", "--json", "--data-dir", str(tmp_path / "data"), "--ready-file", str(tmp_path / "ready"))
    for setting in settings:
        argv += ["--set", setting]
    log = (tmp_path / "log").open("wb")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, env=environment()) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert json.loads((tmp_path / "ready").read_bytes())["ws_port"] == first["ws_port"]
        os.kill(first["gateway_pid"], signal.SIGKILL)
        second = json.loads(process.stdout.readline())
        assert (second["ws_port"], second["order_port"]) == (first["ws_port"], first["order_port"])
        assert second["gateway_pid"] != first["gateway_pid"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [line["child"] for line in lines if line.get("event") == "stopping"] == ["snapshot", "gateway", "venue"]


def test_a_killed_up_leaves_no_gateway_that_trades_on(tmp_path: Path) -> None:
    settings = ["gateway.ws_port=0", "gateway.http_port=0", "venue.ws_port=0", "broker.sim.address=tcp://127.0.0.1:0"]
    argv = command("up", "--json", "--data-dir", str(tmp_path / "data"))
    for setting in settings:
        argv += ["--set", setting]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, env=environment()) as process,
    ):
        assert process.stdout is not None
        up = json.loads(process.stdout.readline())
        children = [os.pidfd_open(up[name]) for name in ("gateway_pid", "venue_pid")]
        process.kill()
        try:
            for child in children:  # readable when the process has ended
                assert select.select([child], [], [], TIMEOUT_S)[0], "a child outlived its supervisor"
        finally:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
                os.close(child)
