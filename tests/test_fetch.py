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
from contextlib import suppress
from pathlib import Path

import pytest

from catclf.data.fetch import COURSE, MIRRORS, FetchError, Known, Patience, fetch, https_opener
from catclf.errors import DataError, OutputError

BODY = random.Random(1).randbytes(300_000)
KNOWN = Known("file.h5", len(BODY), hashlib.sha256(BODY).hexdigest())
QUICK = Patience(silence=1, rate=1000)
HALF = len(BODY) // 2


def head(status="200 OK", length=None, **fields):
    if length is not None:
        fields["Content-Length"] = length
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def good(send, start):
    """Serve as a server should, ranges included."""
    if start is None:
        send(head(length=len(BODY)) + BODY)
    else:
        where = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        rest = BODY[start:]
        send(head("206 Partial Content", len(rest), Content_Range=where) + rest)


def forever(send, first, block, pause=0.0):
    send(first)
    while True:
        send(block)
        time.sleep(pause)


def slowly(send, start):
    good(lambda data: send(data[: -len(BODY) + start]), start or None)
    for i in range(start, len(BODY), 10_000):
        send(BODY[i : i + 10_000])
        time.sleep(0.1)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 2572022\n" % 0
WRONG = bytes(len(BODY))
BAD = {
    "stalls at once": (lambda send, start: time.sleep(3), "nothing came"),
    "stalls in the head": (lambda send, start: (send(b"HTTP/1.1 200"), time.sleep(3)), "nothing"),
    "stalls in the middle": (
        lambda send, start: (send(head(length=len(BODY)) + BODY[:HALF]), time.sleep(3)),
        "nothing came",
    ),
    "drips the head": (
        lambda send, start: forever(send, head()[:-2] + b"X: ", b"x", 0.1),
        "nothing",
    ),
    "drips the body": (
        lambda send, start: forever(send, head(length=len(BODY)), b"x", 0.1),
        "slower than",
    ),
    "truncates": (lambda send, start: send(head(length=len(BODY)) + BODY[:HALF]), "ended after"),
    "truncates chunks": (
        lambda send, start: send(head(Transfer_Encoding="chunked") + b"10\r\nabc"),
        "IncompleteRead",
    ),
    "declares too much": (lambda send, start: send(head(length=10**12) + BODY), "declares"),
    "declares too little": (lambda send, start: send(head(length=9) + BODY), "declares 9 bytes"),
    "declares nonsense": (lambda send, start: send(head(length="many") + BODY), "declares many"),
    "never ends": (lambda send, start: forever(send, head(), bytes(65536)), "more than"),
    "sends wrong bytes": (lambda send, start: send(head(length=len(BODY)) + WRONG), "sha256"),
    "sends a pointer": (
        lambda send, start: send(head(length=len(POINTER)) + POINTER),
        "Git LFS pointer",
    ),
    "sends an error": (lambda send, start: send(head("404 Not Found", 0)), "status 404"),
    "sends a part unasked": (
        lambda send, start: send(head("206 Partial Content", len(BODY)) + BODY),
        "status 206",
    ),
    "speaks no HTTP": (lambda send, start: send(b"\x1b[2Jhello\r\n\r\n"), "hello"),
    "closes at once": (lambda send, start: None, "closed"),
    "redirects for ever": (
        lambda send, start: send(head("302 Found", 0, Location="file.h5")),
        "again and again",
    ),
    "redirects to a file": (
        lambda send, start: send(head("302 Found", 0, Location="file:///etc/passwd")),
        "unknown url type",
    ),
    "redirects to nowhere": (
        lambda send, start: send(head("302 Found", 0, Location="http://[")),
        "Invalid IPv6",
    ),
    "redirects with an endless page": (
        lambda send, start: forever(
            send, head("302 Found", Location="../sends%20an%20error/file.h5"), b"x" * 65536
        ),
        "status 404",
    ),
    "redirects without saying where": (
        lambda send, start: send(head("302 Found", 0)),
        "status 302",
    ),
}
GOOD = {
    "good": good,
    "redirects": lambda send, start: send(head("307 Go", 0, Location="/good/file.h5")),
    "chunks": lambda send, start: send(
        head(Transfer_Encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    "slow but sure": lambda send, start: slowly(send, start or 0),
    "no length": lambda send, start: send(head() + BODY),
    "no ranges": lambda send, start: send(head(length=len(BODY)) + BODY),
    "another range": lambda send, start: good(send, start and start - 1),
    "no range there": lambda send, start: (
        send(head("416 No", 0, Content_Range=f"bytes */{HALF}")) if start else good(send, start)
    ),
}


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        request = self.rfile.readline().decode().split(" ")
        fields = {}
        while line := self.rfile.readline().strip():
            key, value = line.decode().split(": ", 1)
            fields[key.lower()] = value
        found = fields.get("range")
        start = None if found is None else int(found.removeprefix("bytes=").rstrip("-"))
        behaviour = urllib.request.unquote(request[1].split("/")[1])
        self.server.asked.append((behaviour, start))
        with suppress(OSError):  # the other side has had enough
            {**GOOD, **{k: v[0] for k, v in BAD.items()}}[behaviour](self.wfile.write, start)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


@pytest.fixture(scope="module")
def running():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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
        return fetch(
            KNOWN, tmp_path / "d", mirrors=mirrors, opener=opener, patience=QUICK, **options
        )

    return run


@pytest.fixture
def part(tmp_path):
    (tmp_path / "d").mkdir()
    return tmp_path / "d" / "file.h5.part"


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
def test_a_bad_server_gives_nothing_but_a_reason(get, tmp_path, behaviour):
    with pytest.raises(FetchError, match=BAD[behaviour][1]) as caught:
        get(behaviour)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d" / "file.h5").exists()


@pytest.mark.parametrize("behaviour", BAD)
def test_after_a_bad_server_the_next_one_is_asked(get, tmp_path, behaviour):
    told = []
    assert get(behaviour, "good", tell=told.append)
    assert arrived(tmp_path)
    assert len(told) == 1
    assert told[0].endswith("trying the next address")


def test_every_reason_is_told_when_all_fail(get):
    told = []
    with pytest.raises(FetchError, match=r"404.*Git LFS") as caught:
        get("sends an error", "sends a pointer", tell=told.append)
    assert caught.value.exit_code == 3
    assert len(told) == 1


def test_a_download_goes_on_where_it_broke_off(get, server, tmp_path):
    with pytest.raises(FetchError):
        get("truncates")
    assert (tmp_path / "d" / "file.h5.part").read_bytes() == BODY[:HALF]
    assert get("good")
    assert arrived(tmp_path)
    assert server.asked == [("truncates", None), ("good", HALF)]


@pytest.mark.parametrize("behaviour", GOOD)
def test_every_good_server_can_go_on(get, tmp_path, part, behaviour):
    part.write_bytes(BODY[:HALF])
    assert get(behaviour)
    assert arrived(tmp_path)


@pytest.mark.parametrize(
    "content",
    [WRONG[:HALF], WRONG, BODY + b"more", b""],
    ids=["wrong", "wrong and whole", "too long", "empty"],
)
def test_a_part_that_is_not_the_files_is_given_up(get, tmp_path, part, content):
    part.write_bytes(content)
    assert get("good")
    assert arrived(tmp_path)


def test_a_part_that_is_whole_needs_no_server(get, server, tmp_path, part):
    part.write_bytes(BODY)
    assert get("good")
    assert arrived(tmp_path)
    assert server.asked == []


def test_wrong_bytes_leave_no_part(get, tmp_path):
    with pytest.raises(FetchError):
        get("sends wrong bytes", "never ends")
    assert os.listdir(tmp_path / "d") == []


def test_what_is_there_already_is_not_fetched(get, server, tmp_path, part):
    (part.with_suffix("")).write_bytes(BODY)
    assert not get("good")
    assert server.asked == []


@pytest.mark.parametrize(
    ("content", "found"), [(POINTER, "a Git LFS pointer"), (b"mine", "another file")]
)
def test_another_file_there_is_left_alone(get, server, part, content, found):
    path = part.with_suffix("")
    path.write_bytes(content)
    with pytest.raises(DataError, match=found):
        get("good")
    assert path.read_bytes() == content
    assert server.asked == []


def test_a_folder_in_the_way_is_named(get, part):
    part.with_suffix("").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        get("good")


def test_a_folder_that_cannot_be_written_is_named_before_any_request(get, server, tmp_path):
    (tmp_path / "d").write_text("kept")
    with pytest.raises(OutputError, match="is not a folder"):
        get("good")
    assert server.asked == []


def test_a_part_that_cannot_be_written_is_an_output_error(get, part):
    part.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        get("good")


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

    with SecureServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield (
            f"https://localhost:{server.server_address[1]}/",
            ssl.create_default_context(cafile=folder / "cert"),
        )
        server.shutdown()


@pytest.fixture
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.usefixtures("no_proxy")
def test_https_with_a_good_certificate(secure, tmp_path):
    address, context = secure
    fetch(KNOWN, tmp_path / "d", mirrors=(address + "redirects/",), opener=https_opener(context))
    assert arrived(tmp_path)


@pytest.mark.usefixtures("no_proxy")
def test_https_with_an_unknown_certificate_is_refused(secure, tmp_path):
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(KNOWN, tmp_path / "d", mirrors=(secure[0] + "good/",))


@pytest.mark.usefixtures("no_proxy")
def test_nothing_but_https_is_spoken(secure, server, tmp_path, monkeypatch):
    address, context = secure
    plain = f"http://127.0.0.1:{server.server_address[1]}/good/"
    with pytest.raises(FetchError, match="unknown url type: http"):
        fetch(KNOWN, tmp_path / "d", mirrors=(plain,))

    def away(send, start):
        send(head("302 Found", 0, Location=plain + KNOWN.name))

    monkeypatch.setitem(GOOD, "away", away)
    with pytest.raises(FetchError, match="unknown url type: http"):
        fetch(KNOWN, tmp_path / "d", mirrors=(address + "away/",), opener=https_opener(context))
    assert server.asked == []


# The course's files


def test_the_known_files_are_the_courses(shared):
    for known in COURSE:
        data = (shared / "datasets" / "course" / known.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (known.size, known.sha256)


def test_the_card_names_what_is_fetched():
    card = (Path(__file__).resolve().parents[1] / "datasets" / "README.md").read_text()
    assert all(known.sha256 in card and known.name in card for known in COURSE)
    assert all(f"`{mirror}`" in card for mirror in MIRRORS)
    assert all(mirror.startswith("https://") for mirror in MIRRORS)


def test_the_command_fetches_what_is_missing(catclf, shared, tmp_path):
    (tmp_path / "datasets").mkdir()
    for known in COURSE:
        shutil.copy(shared / "datasets" / "course" / known.name, tmp_path / "datasets")
    lines = catclf("data", "fetch", "course").stdout.splitlines()
    assert lines == [f"datasets/{known.name}: already there" for known in COURSE]
    for known in COURSE:  # whole, but not yet under their names: no network is needed
        path = tmp_path / "datasets" / known.name
        path.chmod(0o644)
        path.rename(f"{path}.part")
    lines = catclf("data", "fetch", "course").stdout.splitlines()
    assert lines == [f"datasets/{known.name}: fetched and verified" for known in COURSE]
    assert sorted(os.listdir(tmp_path / "datasets")) == sorted(known.name for known in COURSE)


def test_the_command_tells_that_the_network_is_away(catclf):
    closed = socket.create_server(("127.0.0.1", 0))
    proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    done = catclf("data", "fetch", "course", code=3, env={"https_proxy": proxy, "no_proxy": ""})
    assert done.stdout == ""
    assert done.stderr.count("Connection refused") == 3
    assert done.stderr.splitlines()[-1].startswith("error: train_catvnoncat.h5: could not be")


def test_the_threads_that_wait_for_the_network_end(get):
    before = set(threading.enumerate())
    with pytest.raises(FetchError):
        get("drips the body", "stalls at once", "never ends")
    waiting = [t for t in set(threading.enumerate()) - before if t.name.endswith("(work)")]
    for thread in waiting:
        thread.join(timeout=20)
        assert not thread.is_alive()
