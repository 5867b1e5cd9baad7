"""Tokens of the development issuer, as a service checks them."""

import json
import stat
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from tools.local.issuer import AUDIENCE, ISSUER, TokenIssuer

HOUR = timedelta(hours=1)


@pytest.fixture
def issuer(tmp_path):
    return TokenIssuer.at(tmp_path)


def claims(issuer, token, audience=AUDIENCE):
    keys = jwt.PyJWKSet.from_json(issuer.jwks_file.read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, issuer=ISSUER)


def test_a_token_says_who_and_in_which_roles(issuer):
    said = claims(issuer, issuer.token("ada", ["advisor", "trader"], HOUR))

    assert (said["sub"], said["roles"]) == ("ada", ["advisor", "trader"])
    assert said["exp"] - said["iat"] == 3600


def test_a_token_ends(issuer):
    token = issuer.token("ada", [], HOUR, now=datetime.now(UTC) - 2 * HOUR)

    with pytest.raises(jwt.ExpiredSignatureError):
        claims(issuer, token)


def test_a_token_is_for_its_audience_alone(issuer):
    with pytest.raises(jwt.InvalidAudienceError):
        claims(issuer, issuer.token("ada", [], HOUR), audience="another")


def test_an_issuer_is_found_again(issuer, tmp_path):
    token = issuer.token("ada", [], HOUR)

    assert claims(TokenIssuer.at(tmp_path), token)["sub"] == "ada"


def test_another_issuers_token_is_not_ours(issuer, tmp_path):
    other = TokenIssuer.at(tmp_path / "other")

    with pytest.raises(KeyError):
        claims(issuer, other.token("ada", [], HOUR))


def test_the_published_keys_hold_no_secret(issuer):
    (key,) = json.loads(issuer.jwks_file.read_text())["keys"]

    assert key.keys() == {"kty", "crv", "x", "kid", "use", "alg"}


def test_token_files_are_private_and_replaced_whole(issuer, tmp_path):
    path = tmp_path / "tokens" / "ada"
    issuer.write_token(path, "ada", ["advisor"], HOUR)
    issuer.write_token(path, "ada", ["trader"], HOUR)

    assert claims(issuer, path.read_text())["roles"] == ["trader"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["ada"]
