"""A Ray that cannot be joined or started is refused in seconds, by name, before anything is written."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli import doctor
from orchestrator.ray_tune import address as ray_address

from .conftest import Write, cli


@pytest.fixture
def closed() -> str:
    """An address of this machine where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where something listens that is no Ray."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_cluster_that_is_gone_is_refused_by_name_and_nothing_is_written(
    study: Write, closed: str, tmp_path: Path
) -> None:
    ended = cli("run", study(engine="tune"), RAY_ADDRESS=closed)
    assert ended.code == 2, ended.out
    assert ended.err.startswith(f"error: RAY_ADDRESS={closed}: nothing answers there")
    assert "unset RAY_ADDRESS" in ended.err
    assert not (tmp_path / "run").exists()


def test_nothing_left_needs_no_ray(study: Write, closed: str) -> None:
    assert cli("run", study(archs=1, tasks=("jig",))).code == 0
    ended = cli("run", study(archs=1, tasks=("jig",), engine="tune"), RAY_ADDRESS=closed)
    assert ended.code == 0, ended.err
    assert "1 of 1 trials done (0 trained now)" in ended.out


def test_missing_data_is_one_error_inline_whatever_ray_address_says(study: Write, closed: str, tmp_path: Path) -> None:
    file = study(archs=1, tasks=("jig",), dataset="cifar10")
    (tmp_path / "empty").mkdir()
    ended = cli("run", file, "--data-root", tmp_path / "empty", RAY_ADDRESS=closed)
    assert ended.code == 2, ended.out
    assert str(tmp_path / "empty") in ended.err
    assert not list((tmp_path / "run").glob("attempts/*"))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ray://127.0.0.1:10001", "give HOST:PORT of the head"),
        ("127.0.0.1", "expected HOST:PORT"),
        ("head.invalid:6379", "nothing answers there"),
        ("127.0.0.1:99999", "nothing answers there"),
        ("[::1]:1", "nothing answers there"),
    ],
)
def test_addresses_that_no_cluster_has(address: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray_address, "_CONNECT_S", 0.6)  # one repetition
    with pytest.raises(ray_address.AddressError) as refused:
        ray_address.check()
    assert str(refused.value).startswith(f"RAY_ADDRESS={address}: ")
    assert why in str(refused.value)


def test_what_listens_and_is_no_ray_is_not_waited_for(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", deaf)
    monkeypatch.setattr(ray_address, "_ANSWER_S", 1.0)  # seconds that a test can wait
    with pytest.raises(ray_address.AddressError, match="does not answer as Ray does"):
        ray_address.check()


def test_auto_joins_only_what_ray_start_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs here: this folder is where `ray start` would have noted its cluster."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(ray_address.AddressError, match="no Ray was started on this machine by `ray start`"):
        ray_address.check()


@pytest.mark.parametrize("said", ["", "local"])
def test_no_address_is_a_ray_of_ones_own(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", said)
    assert ray_address.named() is None
    ray_address.check()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_folder_is_exchanged_for_a_short_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv(name, "/tmp")
    assert ray_address.temporary_folder() is None
    monkeypatch.setenv(name, str(tmp_path / ("d" * 90)))
    assert ray_address.temporary_folder() == Path("/tmp/ray")
    said = {check.what: check for check in doctor.checks()}["ray"]
    assert (said.state, "/tmp/ray" in said.text) == ("note", True)
    monkeypatch.setattr(ray_address, "_SHORT", str(tmp_path / "not-there"))
    with pytest.raises(ray_address.AddressError, match=f"{name}=.* too long .* RAY_TMPDIR .* --engine inline"):
        ray_address.check()


def test_doctor_tells_of_a_cluster_that_is_gone(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", closed)
    monkeypatch.setattr(ray_address, "_CONNECT_S", 0.6)
    said = {check.what: check for check in doctor.checks()}["ray"]
    assert said.state == "wrong"
    assert closed in said.text
