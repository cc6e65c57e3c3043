import http.server
import threading

import pytest
import torch
from torch import nn

from powerbench.errors import UserError
from powerbench.models.weights import file_hash, find_or_download, given_file, hub_folder, load_state, read_state


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", "9" if self.path == "/cut" else "5")
        self.end_headers()
        self.wfile.write(b"12345")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("localhost", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://localhost:{running.server_port}"
        running.shutdown()


def test_weights_are_downloaded_once_and_whole(server, tmp_path):
    file = find_or_download(["a.pth"], f"{server}/a.pth", tmp_path / "hub", trunk="t")
    assert file.read_bytes() == b"12345"
    assert find_or_download(["b.pth", "a.pth"], "http://localhost:9", tmp_path / "hub", trunk="t") == file


@pytest.mark.parametrize("path", ["missing", "cut"])
def test_a_failed_download_leaves_no_file(server, tmp_path, path):
    with pytest.raises(UserError, match=r"a.pth.*failed"):
        find_or_download(["a.pth"], f"{server}/{path}", tmp_path, trunk="t")
    assert list(tmp_path.iterdir()) == []


def test_torch_home_is_respected(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", "/somewhere")
    assert str(hub_folder(None)) == "/somewhere/hub/checkpoints"
    assert hub_folder(str(tmp_path)) == tmp_path / "hub" / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(hub_folder(None)) == "/cache/torch/hub/checkpoints"


def test_a_given_file_must_exist(tmp_path):
    with pytest.raises(UserError, match=r"no weights file '.*none.pth'"):
        given_file(str(tmp_path / "none.pth"))


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize("content", ["garbage", "truncated", "empty", "object", "code"])
def test_files_that_are_no_state_dict_are_refused(tmp_path, content, capsys):
    file = tmp_path / "w.pth"
    torch.save(
        {"object": {"a": 1}, "code": {"a": Evil()}}.get(content, {"a": torch.zeros(1000)}),
        file,
    )
    whole = file.read_bytes()
    file.write_bytes({"garbage": b"hello" * 100, "truncated": whole[:2000], "empty": b""}.get(content, whole))
    with pytest.raises(UserError, match=str(file)):
        read_state(file)
    assert "code was run" not in capsys.readouterr().out


def test_a_state_that_does_not_fit_is_refused_with_reasons(tmp_path):
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = dict(network.state_dict())
    del state["0.bias"]
    state |= {"0.weight": torch.zeros(3, 4), "extra": torch.zeros(1), "more": torch.zeros(1)}
    with pytest.raises(UserError, match=r"0.bias is missing; extra is unknown; more is unknown; and 1 more"):
        load_state(network, state, source=tmp_path, optional="1")
    del state["extra"], state["more"]
    with pytest.raises(UserError, match=r"0.weight is \(3, 4\), not \(3, 2\)"):
        load_state(network, state, source=tmp_path, optional="1")


def test_a_hash_follows_the_file(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(b"1")
    first = file_hash(file)
    assert file_hash(file) == first
    file.write_bytes(b"22")
    assert file_hash(file) != first
