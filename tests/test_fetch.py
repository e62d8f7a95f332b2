"""The download, against a server on loopback that stalls, truncates, lies and misdirects."""

import hashlib
import os
import random
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from catclf.data.fetch import COURSE, MIRRORS, KnownFile, fetch, https_opener
from catclf.errors import DataError, OutputError

BODY = random.Random(1).randbytes(300_000)
KNOWN = KnownFile("file.h5", len(BODY), hashlib.sha256(BODY).hexdigest())
HALF = len(BODY) // 2


def head(status="200 OK", length=None, **fields):
    if length is not None:
        fields["Content-Length"] = length
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def forever(first, block, pause, send):
    """Send for longer than anybody waits; the thread that still does may end with the tests."""
    send(first)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        send(block)
        time.sleep(pause)


def sends(*parts):
    """Send these; a number is a pause in seconds."""

    def behave(send):
        for part in parts:
            time.sleep(part) if isinstance(part, float) else send(part)

    return behave


def redirects(where, status="302 Found"):
    return sends(head(status, 0, Location=where))


WHOLE = head(length=len(BODY))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 2572022\n" % 0
CHUNKED = head(Transfer_Encoding="chunked")
PAGE = head("302 Found", Location="../sends%20an%20error/file.h5")
BAD = {
    "stalls in the middle": (sends(WHOLE + BODY[:HALF], 3.0), "timed out"),
    "drips the head": (partial(forever, head()[:-2] + b"X: ", b"x", 0.1), "not done after 2 s"),
    "drips the body": (partial(forever, WHOLE, b"x", 0.1), "not done after 2 s"),
    "truncates": (sends(WHOLE + BODY[:HALF]), "ended after 150000 of"),
    "truncates chunks": (sends(CHUNKED + b"10\r\nabc"), "IncompleteRead"),
    "never ends": (partial(forever, head(), bytes(65536), 0), "more than"),
    "sends wrong bytes": (sends(WHOLE + bytes(len(BODY))), "sha256"),
    "sends a pointer": (sends(head(length=len(POINTER)) + POINTER), "Git LFS pointer"),
    "sends an error": (sends(head("404 Not Found", 0)), "status 404"),
    "sends a part": (sends(head("206 Partial Content", len(BODY)) + BODY), "status 206"),
    "speaks no HTTP": (sends(b"\x1b[2Jhello\r\n\r\n"), "hello"),
    "closes at once": (sends(), "closed"),
    "redirects for ever": (redirects("file.h5"), "again and again"),
    "redirects to a file": (redirects("file:///etc/passwd"), "unknown url type"),
    "redirects to nowhere": (redirects("http://["), "Invalid IPv6"),
    "redirects with an endless page": (partial(forever, PAGE, b"x" * 65536, 0), "status 404"),
}
GOOD = {
    "good": sends(WHOLE + BODY),
    "redirects": redirects("/good/file.h5", "307 Go"),
    "chunks": sends(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "slow but sure": sends(WHOLE, 0.4, BODY[:HALF], 0.4, BODY[HALF:]),
    "no length": sends(head() + BODY),
}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().decode().split(" ")[1]
        while self.rfile.readline().strip():
            pass
        behaviour = urllib.request.unquote(path.split("/")[1])
        self.server.asked.append(behaviour)
        with suppress(OSError):  # the other side has had enough
            {**GOOD, **{k: v[0] for k, v in BAD.items()}}[behaviour](self.wfile.write)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serving(kind):
    with kind(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def running():
    with serving(Server) as server:
        yield server


@pytest.fixture
def server(running):
    running.asked.clear()
    return running


@pytest.fixture
def get(server, tmp_path):
    """Fetch from mirrors of these behaviours, by an opener that knows HTTP as well."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.UnknownHandler())

    def run(*behaviours, **options):
        port = server.server_address[1]
        mirrors = tuple(f"http://127.0.0.1:{port}/{urllib.request.quote(b)}/" for b in behaviours)
        how = {"opener": opener, "silence": 1.0, "longest": 2.0, **options}
        return fetch(KNOWN, tmp_path / "d", mirrors=mirrors, **how)

    return run


def arrived(tmp_path):
    assert os.listdir(tmp_path / "d") == ["file.h5"]
    return (tmp_path / "d" / "file.h5").read_bytes() == BODY


@pytest.mark.parametrize("behaviour", GOOD)
def test_the_file_arrives_alone(get, tmp_path, behaviour):
    seen = []
    assert get(behaviour, progress=lambda done, size: seen.append((done, size)))
    assert arrived(tmp_path)
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("behaviour", BAD)
def test_after_a_bad_server_the_next_one_is_asked(get, tmp_path, behaviour):
    told = []
    assert get(behaviour, "good", note=told.append)
    assert arrived(tmp_path)
    (line,) = told
    assert BAD[behaviour][1] in line
    assert line.endswith("; trying the next address")
    assert "\n" not in line


def test_what_is_there_already_is_not_fetched(get, server, tmp_path):
    path = tmp_path / "d" / "file.h5"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert not get("good")
    for content, what in ((POINTER, "a Git LFS pointer"), (BODY + b"x", "another file")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{what} is there"):
            get("good")
        assert path.read_bytes() == content
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("no folder")
    with pytest.raises(OutputError, match="is not a folder"):
        get("good")
    assert server.asked == []


# HTTPS


@pytest.fixture(scope="module")
def secure(running, tmp_path_factory):
    """A server of the same behaviours with a certificate for localhost, and a context to match."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command, which makes a certificate, is not there")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(folder / "cert", folder / "key")

    class SecureServer(Server):
        def get_request(self):
            connection, address = super().get_request()
            return ours.wrap_socket(connection, server_side=True), address

    with serving(SecureServer) as server:
        address = f"https://localhost:{server.server_address[1]}/"
        yield address, ssl.create_default_context(cafile=folder / "cert")


def test_nothing_but_https_is_spoken(secure, server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    address, context = secure
    get = partial(fetch, KNOWN, tmp_path / "d")
    get(mirrors=(address + "redirects/",), opener=https_opener(context))
    assert arrived(tmp_path)
    shutil.rmtree(tmp_path / "d")
    with pytest.raises(DataError, match="CERTIFICATE_VERIFY_FAILED"):
        get(mirrors=(address + "good/",))
    plain = f"http://127.0.0.1:{server.server_address[1]}/good/"
    with pytest.raises(DataError, match="unknown url type: http"):
        get(mirrors=(plain,))

    monkeypatch.setitem(GOOD, "away", redirects(plain + KNOWN.name))
    with pytest.raises(DataError, match="unknown url type: http"):
        get(mirrors=(address + "away/",), opener=https_opener(context))
    assert server.asked == []


# The course's files


def test_the_card_names_what_is_fetched():
    card = (Path(__file__).resolve().parents[1] / "datasets" / "README.md").read_text()
    assert all(known.sha256 in card and known.name in card for known in COURSE)
    assert all(f"`{mirror}`" in card for mirror in MIRRORS)
    assert all(mirror.startswith("https://") for mirror in MIRRORS)


def test_the_command_fetches_what_is_missing(catclf, shared, tmp_path):
    shutil.copytree(shared / "datasets" / "course", tmp_path / "datasets")
    for known in COURSE:
        assert (tmp_path / "datasets" / known.name).stat().st_size == known.size
    lines = catclf("data", "fetch", "course").stdout.splitlines()
    assert lines == [f"datasets/{known.name}: already there" for known in COURSE]
    (tmp_path / "datasets" / COURSE[0].name).unlink()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
    done = catclf("data", "fetch", "course", code=3, env={"https_proxy": proxy, "no_proxy": ""})
    assert done.stdout == ""
    assert done.stderr.count("Connection refused") == 3
    assert done.stderr.splitlines()[-1].startswith("error: train_catvnoncat.h5: could not be")
    assert not (tmp_path / "datasets" / COURSE[0].name).exists()
