import hashlib
import io
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from powerbench.datasets.archives import Archive, Source, obtain
from powerbench.datasets.cub200 import CUB200
from powerbench.errors import UserError
from tests.datasets.making import picture

NAME = "CUB_200_2011.tgz"
DEAD = f"http://127.0.0.1:9/{NAME}"


def tar(names, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(picture())
            file.addfile(member, io.BytesIO(picture()))
    return buffer.getvalue()


def zipped(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, picture())
    return buffer.getvalue()


CONTENT = tar(["CUB_200_2011/images/001.A/1.jpg", "attributes.txt"])
ARCHIVE = Archive(NAME, into="cub2011", md5=hashlib.md5(CONTENT).hexdigest())


@pytest.fixture
def served():
    """A server whose answers by path are the dict it gives, under ``address``."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.split("?")[0]
            self.send_response(200 if path in answers else 404)
            self.end_headers()
            self.wfile.write(answers.get(path, b""))

        def log_message(self, *_):
            pass

    class Answers(dict):
        address = ""

    answers = Answers()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    answers.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_local_archive_is_unpacked_when_download_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(CUB200, "publication", replace(CUB200.publication, archives=(ARCHIVE,), sources=()))
    (tmp_path / NAME).write_bytes(CONTENT)
    with pytest.raises(UserError, match=r"CUB_200_2011.tgz is there: `\{CUB200: \{download: True\}\}` unpacks it"):
        CUB200(dataset_root=str(tmp_path))
    with pytest.raises(UserError, match=r"cub2011/CUB_200_2011/images holds 1 images in 1 classes"):
        CUB200(download=True, dataset_root=str(tmp_path))


def test_the_first_source_that_answers_is_used_and_nothing_is_done_twice(tmp_path, served):
    served[f"/{NAME}"] = CONTENT
    sources = [Source((DEAD,)), Source((f"{served.address}/{NAME}?dl=1",))]
    place = tmp_path / "new"
    obtain("CUB200", place, [ARCHIVE], sources)
    assert (place / NAME).read_bytes() == CONTENT
    assert (place / "cub2011/CUB_200_2011/images/001.A/1.jpg").is_file()
    assert sorted(path.name for path in (place / "cub2011").iterdir()) == ["CUB_200_2011", "attributes.txt"]
    served.clear()
    obtain("CUB200", place, [ARCHIVE], sources)
    assert [path.name for path in place.iterdir() if path.name.startswith(".unpacking")] == []


def test_the_configs_own_source_comes_first_and_its_digest_counts(tmp_path, served):
    content = zipped(["birds/a.jpg"])
    served["/mine.zip"] = content
    url = f"{served.address}/mine.zip"
    with pytest.raises(UserError, match="its SHA256 is"):
        obtain("CUB200", tmp_path / "a", [ARCHIVE], [], [{"url": url, "sha256": "0" * 64}])
    assert not (tmp_path / "a/mine.zip").exists()
    right = {"url": url, "sha256": hashlib.sha256(content).hexdigest()}
    obtain("CUB200", tmp_path / "b", [ARCHIVE], [Source((DEAD,))], [right])
    assert (tmp_path / "b/birds/a.jpg").is_file()
    with pytest.raises(UserError, match="a source is an address"):
        obtain("CUB200", tmp_path / "c", [ARCHIVE], [], [{"address": url}])


def test_files_that_belong_together_come_together_and_may_be_no_archives(tmp_path, served):
    served["/ims.tgz"], served["/annos.mat"] = tar(["ims/1.jpg"]), b"numbers"
    source = Source((f"{served.address}/ims.tgz", f"{served.address}/annos.mat"))
    obtain("Cars196", tmp_path, [Archive("ims.tgz", into="cars"), Archive("annos.mat")], [source])
    assert (tmp_path / "cars/ims/1.jpg").is_file()
    assert (tmp_path / "annos.mat").read_bytes() == b"numbers"


def test_without_a_source_that_answers_those_tried_and_the_next_step_are_listed(tmp_path):
    root = tmp_path / "none"
    with pytest.raises(UserError) as caught:
        obtain("CUB200", root, [ARCHIVE], [Source((DEAD,)), Source(("http://127.0.0.1:9/other.zip",))])
    text = str(caught.value)
    assert DEAD in text
    assert "http://127.0.0.1:9/other.zip" in text
    assert "Connection refused" in text
    assert f"Place an archive at {root}/{NAME}" in text
    assert "sources: [https://...]" in text
    assert not root.exists()
    with pytest.raises(UserError, match="only by agreement with its authors"):
        obtain("VehicleID", root, [Archive("VehicleID_V1.0.zip")], [])


def test_a_download_of_something_else_is_not_kept(tmp_path, served):
    source = Source((f"{served.address}/{NAME}",))
    with pytest.raises(UserError, match="Not Found"):
        obtain("CUB200", tmp_path, [ARCHIVE], [source])
    served[f"/{NAME}"] = b"<html>moved</html>"
    with pytest.raises(UserError, match="not the published archive, nor any: perhaps a web page"):
        obtain("CUB200", tmp_path, [ARCHIVE], [source])
    served[f"/{NAME}"] = tar(["CUB_200_2011/other.jpg"])
    with pytest.raises(UserError, match="its MD5 is"):
        obtain("CUB200", tmp_path, [ARCHIVE], [source])
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".CUB")]


def test_a_damaged_local_archive_is_named(tmp_path):
    (tmp_path / NAME).write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"CUB_200_2011.tgz could not be unpacked: not the published archive"):
        obtain("CUB200", tmp_path, [ARCHIVE], [])
    (tmp_path / NAME).write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(UserError, match=r"CUB_200_2011.tgz could not be unpacked"):
        obtain("CUB200", tmp_path, [replace(ARCHIVE, md5=None)], [])
    assert not (tmp_path / "cub2011").exists()


def test_an_archive_without_a_published_digest_must_stay_what_it_was_at_first(tmp_path):
    archive = Archive("cub200.tar")
    (tmp_path / "cub200.tar").write_bytes(tar(["cub200/images/1.jpg"], "w"))
    obtain("CUB200", tmp_path, [archive], [])
    assert (tmp_path / "cub200.tar.sha256").is_file()
    (tmp_path / "cub200.tar").write_bytes(tar(["cub200/images/2.jpg"], "w"))
    with pytest.raises(UserError, match="its SHA256 is"):
        obtain("CUB200", tmp_path, [archive], [])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (tar, "../../../escaped.txt"),
        (tar, "a/../../../escaped.txt"),
        (zipped, "../../../escaped.txt"),
        (zipped, "a/../../../escaped.txt"),
        (zipped, "/tmp/escaped_powerbench.txt"),
        (zipped, "..\\escaped.txt"),
    ],
)
def test_an_archive_cannot_write_outside_of_its_folder(tmp_path, make, name):
    place = tmp_path / "deep/er"
    place.mkdir(parents=True)
    (place / "bad.zip").write_bytes(make(["CUB_200_2011/images/1.jpg", name]))
    with pytest.raises(UserError, match="could not be unpacked"):
        obtain("CUB200", place, [Archive("bad.zip", into="in")], [])
    assert not (place / "in").exists()
    assert not list(tmp_path.glob("**/*escaped*"))


def test_a_link_in_a_tar_file_cannot_lead_outside(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        link = tarfile.TarInfo("cub200/images")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        file.addfile(link)
    (tmp_path / "cub200.tar").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="could not be unpacked"):
        obtain("CUB200", tmp_path, [Archive("cub200.tar")], [])
    assert not (tmp_path / "cub200").exists()
