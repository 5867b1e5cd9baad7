"""The keys are those the issuer has now."""

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from services.kernel.clock import FixedClock
from services.runtime.auth.keys import IssuerUnreachable, Keys
from services.runtime.auth.tokens import TokenExpired, TokenInvalid, Tokens
from tools.local.issuer import AUDIENCE, ISSUER, TokenIssuer

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def look_always(monkeypatch):
    monkeypatch.setattr("services.runtime.credentials.LOOK_AGAIN_S", 0)


def tokens(file, clock=None):
    return Tokens(Keys(file.as_uri()), issuer=ISSUER, audience=AUDIENCE, clock=clock or FixedClock(NOW))


async def test_a_key_that_is_replaced_counts_no_more(tmp_path):
    old, new = TokenIssuer.at(tmp_path / "old"), TokenIssuer.at(tmp_path / "new")
    file = tmp_path / "jwks.json"
    file.write_bytes(old.jwks_file.read_bytes())
    checked = tokens(file)
    old_token, new_token = (f"Bearer {issuer.token('ann', [], HOUR)}" for issuer in (old, new))
    assert (await checked.caller(old_token)).subject == "ann"
    with pytest.raises(TokenInvalid, match="no known key"):
        await checked.caller(new_token)

    file.write_bytes(new.jwks_file.read_bytes())

    assert (await checked.caller(new_token)).subject == "ann"
    with pytest.raises(TokenInvalid, match="no known key"):
        await checked.caller(old_token)


async def test_a_token_that_was_good_before_expires_all_the_same(tmp_path):
    issuer, clock = TokenIssuer.at(tmp_path), FixedClock(NOW)
    checked = tokens(issuer.jwks_file, clock)
    token = f"Bearer {issuer.token('ann', ['trader'], HOUR, now=NOW)}"
    assert "execution.halt" in (await checked.caller(token)).permissions
    clock.advance(HOUR)
    assert await checked.caller(token)

    clock.advance(timedelta(seconds=6))

    with pytest.raises(TokenExpired):
        await checked.caller(token)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AA", "kid": "a"}]}']
)
async def test_without_any_usable_key_nobody_gets_in(tmp_path, content):
    issuer = TokenIssuer.at(tmp_path)
    issuer.jwks_file.write_text(content)

    with pytest.raises((IssuerUnreachable, TokenInvalid)):
        await tokens(issuer.jwks_file).caller(f"Bearer {issuer.token('ann', [], HOUR)}")


async def test_a_file_that_is_broken_later_leaves_the_keys_we_have(tmp_path):
    issuer = TokenIssuer.at(tmp_path)
    checked = tokens(issuer.jwks_file)
    token = f"Bearer {issuer.token('ann', [], HOUR)}"
    await checked.caller(token)
    issuer.jwks_file.write_text("{")

    assert (await checked.caller(token)).subject == "ann"


async def test_a_shared_secret_is_not_a_key(tmp_path):
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "s", "alg": "HS256"}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": NOW, "exp": NOW + HOUR}
    token = jwt.encode(claims, b"secret-secret-secret-secret-secret", algorithm="HS256", headers={"kid": "s"})
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [secret]}))

    with pytest.raises(TokenInvalid, match="must be for one of EdDSA, ES256, RS256"):
        await tokens(file).caller(f"Bearer {token}")
