"""A bearer token (RFC 7519) says who calls. It is believed when a known key signed it, for us, and it has not expired.

Checking a signature costs more than serving a small call, so what was checked is remembered until it expires or the
keys change.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from services.kernel.clock import Clock
from services.kernel.errors import Unauthenticated
from services.runtime.auth.keys import Keys
from services.runtime.auth.roles import permissions_of
from services.runtime.context import Caller

# Asymmetric only: whoever can check a token must not be able to make one.
ALGORITHMS = ("EdDSA", "ES256", "RS256")
REQUIRED_CLAIMS = ("iss", "aud", "exp", "iat", "sub")
# Clocks of two machines differ by this much at most.
LEEWAY_S = 5
TOKEN_LENGTH_MAX = 8192
SUBJECT_LENGTH_MAX = 256
# Callers at one time, not tokens ever: the least recently used is forgotten.
REMEMBERED_MAX = 4096


class TokenMissing(Unauthenticated):
    """The call carries no bearer token."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The bearer token is not one this service accepts."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The bearer token has expired."""

    reason = "TOKEN_EXPIRED"


@dataclass(frozen=True, slots=True)
class _Checked:
    caller: Caller
    expires_s: float


class Tokens:
    """Turns bearer tokens into callers."""

    def __init__(self, keys: Keys, *, issuer: str, audience: str, clock: Clock) -> None:
        """Believe tokens that `issuer` signed with one of `keys`, for `audience`."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._remembered: OrderedDict[str, _Checked] = OrderedDict()
        self._version = -1

    async def caller(self, authorization: str | None) -> Caller:
        """Return who sent a call with this `authorization` header.

        Raises:
            TokenMissing: There is no bearer token.
            TokenExpired: The token was good until some time ago.
            TokenInvalid: It is not signed by a known key, not for us, or not of the form we expect.
            IssuerUnreachable: The keys cannot be read.
        """
        if authorization is None or authorization[:7].lower() != "bearer ":
            raise TokenMissing("the call needs the header `authorization: Bearer <token>`")
        token = authorization[7:].strip()
        await self._keys.refresh()
        if self._version != self._keys.version:
            self._remembered.clear()
            self._version = self._keys.version
        known = self._remembered.get(token)
        if known is None:
            known = await self._check(token)
            self._remembered[token] = known
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(token)
        if self._clock.now().timestamp() >= known.expires_s + LEEWAY_S:
            raise TokenExpired("the token has expired; ask its issuer for a new one")
        return known.caller

    async def _check(self, token: str) -> _Checked:
        if len(token) > TOKEN_LENGTH_MAX:
            raise TokenInvalid(f"a token must have at most {TOKEN_LENGTH_MAX} characters, was {len(token)}")
        try:
            header = jwt.get_unverified_header(token)
            key = await self._keys.find(str(header.get("kid", "")))
            if key is None:
                raise TokenInvalid("no known key signed the token")
            if key.algorithm_name not in ALGORITHMS:
                raise TokenInvalid(f"a key must be for one of {', '.join(ALGORITHMS)}, was for {key.algorithm_name}")
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": list(REQUIRED_CLAIMS)},
            )
        except ExpiredSignatureError as error:
            raise TokenExpired("the token has expired; ask its issuer for a new one") from error
        except (PyJWTError, ValueError) as error:
            # The library's words name the claim, never its content.
            raise TokenInvalid(f"the token is not accepted: {error}") from error
        return _Checked(_caller(claims), float(claims["exp"]))


def _caller(claims: dict[str, Any]) -> Caller:
    subject, roles = claims["sub"], claims.get("roles", [])
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH_MAX:
        raise TokenInvalid(f"the claim sub must be 1 to {SUBJECT_LENGTH_MAX} characters")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TokenInvalid("the claim roles must be a list of names")
    nodes = claims.get("nodes")
    if nodes is not None and not (isinstance(nodes, list) and all(isinstance(node, str) for node in nodes)):
        raise TokenInvalid("the claim nodes must be a list of policy nodes")
    return Caller(subject, frozenset(roles), permissions_of(roles), None if nodes is None else frozenset(nodes))
