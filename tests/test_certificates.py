"""The run's own certificates: right for their host and for nobody else, for hours only; the key stays where it must."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from harness import certificates
from harness.cluster.permissions import needed
from harness.config import Config
from harness.errors import ConfigurationError
from harness.release.ingress_tls import CA_FILE, authorities, equip, own_secrets
from harness.release.isolate import isolate, private
from tests.fake_kube import config_in

BASE = '[ingress]\nname = "shop"\nhost = "shop.example.com"\n'
RUN = '[ingress.tls]\nsecret = "shop-tls"\n'
THEIRS = RUN + 'certificate = "manifests"\n'
Json = dict[str, Any]


class Events:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Json]] = []

    def event(self, name: str, /, **fields: object) -> None:
        self.seen.append((name, fields))


def config(folder: Path, tls: str) -> Config:
    config_in(folder)
    return config_in(folder, (folder / "bluegreen.toml").read_text().replace(BASE, BASE + tls))


def ingress(*sections: Json) -> Json:
    spec: Json = {"rules": [{"host": "shop.example.com"}]}
    return {
        "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {**spec, **({"tls": sections} if sections else {})},
    }


def equipped(config: Config, objects: list[Json], folder: Path, journal: Any = None) -> list[Json]:
    to: Any = journal or Events()
    return equip(config, objects, folder, to)


def test_a_certificate_is_for_one_host_and_a_few_hours() -> None:
    made = certificates.make("shop.example.com")
    certificate, ca = (x509.load_pem_x509_certificate(pem.encode()) for pem in (made.certificate, made.ca))
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example.com"]
    life = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=4) < life <= datetime.timedelta(hours=certificates.HOURS)
    assert certificate.not_valid_before_utc < datetime.datetime.now(datetime.UTC)
    assert "PRIVATE" not in repr(made)
    assert made.key not in repr(made) and "PRIVATE KEY" in made.key
    assert certificates.make("shop.example.com").key != made.key


def test_a_host_may_be_longer_than_a_common_name() -> None:
    host = f"{'a' * 60}.{'b' * 60}.example.com"
    certificate = x509.load_pem_x509_certificate(certificates.make(host).certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]


def test_the_run_adds_a_secret_and_a_section_and_the_key_is_nowhere_else(tmp_path: Path) -> None:
    shop, given, journal = config(tmp_path, RUN), [ingress()], Events()
    folder = tmp_path / "scenario"
    folder.mkdir()
    secret, changed = equipped(shop, given, folder, journal)
    assert given == [ingress()]
    assert changed["spec"]["tls"] == [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]
    assert (secret["type"], secret["metadata"]["name"]) == ("kubernetes.io/tls", "shop-tls")
    assert set(secret["stringData"]) == {"tls.crt", "tls.key"}
    assert "PRIVATE KEY" in secret["stringData"]["tls.key"]
    assert [file.name for file in folder.iterdir()] == [CA_FILE]
    assert "PRIVATE" not in (folder / CA_FILE).read_text() + json.dumps(journal.seen)
    assert authorities(shop, folder) == str(folder / CA_FILE)
    # what is there already stays
    (_, same) = equipped(shop, [changed], folder)
    assert same == changed
    other = {"hosts": ["other.example.com"], "secretName": "x"}
    assert equipped(shop, [ingress(other)], folder)[1]["spec"]["tls"] == [other, *changed["spec"]["tls"]]


def test_nothing_is_made_on_the_service_path_or_where_no_table_says_so(tmp_path: Path) -> None:
    service: Json = {"kind": "Service", "metadata": {"name": "shop"}}
    assert equipped(config(tmp_path, RUN), [service], tmp_path) == [service]
    assert equipped(config(tmp_path, ""), [ingress()], tmp_path) == [ingress()]
    assert own_secrets(config(tmp_path, "")) == []
    assert not (tmp_path / CA_FILE).exists()


def test_the_manifests_own_certificate_is_neither_changed_nor_replaced(tmp_path: Path) -> None:
    section = {"hosts": ["shop.example.com"], "secretName": "shop-tls"}
    shop = config(tmp_path, THEIRS)
    assert equipped(shop, [ingress(section)], tmp_path) == [ingress(section)]
    assert own_secrets(shop) == []
    for wrong in (ingress(), ingress({**section, "secretName": "x"}), ingress({**section, "hosts": ["x.test"]})):
        with pytest.raises(ConfigurationError, match="no tls with Secret"):
            equipped(shop, [wrong], tmp_path)


def test_what_the_run_would_replace_is_refused(tmp_path: Path) -> None:
    shop = config(tmp_path, RUN)
    with pytest.raises(ConfigurationError, match="has Secret 'theirs'"):
        equipped(shop, [ingress({"hosts": ["shop.example.com"], "secretName": "theirs"})], tmp_path)
    secret: Json = {"kind": "Secret", "metadata": {"name": "shop-tls"}}
    with pytest.raises(ConfigurationError, match="in the manifests, and the run makes it too"):
        equipped(shop, [ingress(), secret], tmp_path)


def test_on_a_cluster_of_others_the_certificate_is_for_the_private_host(tmp_path: Path) -> None:
    shop = config(tmp_path, RUN)
    objects = isolate(shop, [ingress({"hosts": ["shop.example.com"], "secretName": "real"})], "bg-x")
    secret, changed = equipped(private(shop, "bg-x"), objects, tmp_path)
    assert changed["spec"]["tls"] == [{"hosts": ["bg-x.shop.example.com"], "secretName": "shop-tls"}]
    certificate = x509.load_pem_x509_certificate(secret["stringData"]["tls.crt"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["bg-x.shop.example.com"]
    hidden = private(config(tmp_path, THEIRS), "bg-x")
    assert hidden.ingress is not None and hidden.ingress.tls is None


def test_the_secret_is_among_the_rights_that_are_asked_for(tmp_path: Path) -> None:
    rights = {str(right) for right in needed(own_secrets(config(tmp_path, RUN)), admin=False, made=False)}
    assert {"create secrets", "list secrets", "deletecollection secrets"} <= rights
    (secret,) = own_secrets(config(tmp_path, RUN))
    assert set(secret["stringData"].values()) == {""}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RUN + 'ca = "ca.pem"\n', "makes its own authority"),
        (THEIRS + 'ca = "nowhere.pem"\n', "is no file"),
        (RUN + 'certificate = "run "\n', "can't be"),
        ("[load]\nh2 = 5\n", r"no \[ingress\.tls\]"),
        (RUN + "[load]\nh2_slow = 5\n", r"no \[request\.slow\]"),
    ],
)
def test_a_table_that_can_not_hold_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        config(tmp_path, text)
