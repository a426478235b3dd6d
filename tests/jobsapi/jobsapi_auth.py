"""Who may call: static tokens, OAuth access tokens with an expiry, user and password, and /oidc/v1/token.

Credentials holds no lock; its caller serialises.  Time comes from the clock it is given (seconds since 1970).
"""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from jobsapi_rules import ApiError

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"

# The three answers to an expired token that users of the service have reported.
EXPIRED_FORMS = {
    401: ("Token is expired", 401),
    403: ("Invalid access token.", 403),
    400: ("io.jsonwebtoken.ExpiredJwtException: JWT expired. Current time is past the expiry.", "400"),
}


@dataclass
class Issued:
    """An access token of /oidc/v1/token."""
    principal: str
    expires: float


class OAuthError(Exception):
    """An answer of the token endpoint in the shape of RFC 6749."""

    def __init__(self, status, error, description):
        super().__init__(f"{status} {error}: {description}")
        self.status, self.error, self.description = status, error, description

    def body(self):
        return json.dumps({"error": self.error, "error_description": self.description}).encode()


class Credentials:
    """What is accepted.  All fields may be changed while the server runs.

    tokens                static bearer tokens
    basic                 user -> password
    clients               client_id -> client_secret
    federation            subject token -> client_id, or None for an account-wide policy
    issued                access token -> Issued
    expired               token -> status of the answer it gets now (401, 403, 400)
    token_lifetime        seconds; a federated JWT's own exp wins
    expires_in_as_string  answer "3600" instead of 3600
    invalid_status        401 or 403 for a token nobody knows
    expired_status        the form for a token whose time ran out
    """

    def __init__(self, clock, tokens=(), basic=None, clients=None, federation=None):
        self.clock = clock
        self.tokens = set(tokens)
        self.basic = dict(basic or {})
        self.clients = dict(clients or {})
        self.federation = dict(federation or {})
        self.issued = {}
        self.expired = {}
        self.token_lifetime = 3600
        self.expires_in_as_string = False
        self.invalid_status = 403
        self.expired_status = 401
        self.principal = "brickwatch@example.com"

    def check(self, authorization):
        """The principal behind the value of an Authorization header, or ApiError."""
        scheme, _, rest = (authorization or "").partition(" ")
        if scheme.lower() == "bearer" and rest:
            return self._check_bearer(rest)
        if scheme.lower() == "basic" and self.basic:
            user, password = decode_basic(rest)
            if user in self.basic and self.basic[user] == password:
                return user
            raise ApiError(401, 401, "Invalid user or password.")
        raise ApiError(401, 401, "Credential was not sent or was of an unsupported type for this API.")

    def _check_bearer(self, token):
        issued = self.issued.get(token)
        if issued is not None and issued.expires <= self.clock():
            self.expired.setdefault(token, self.expired_status)
        if token in self.expired:
            raise expired_error(self.expired[token])
        if issued is not None:
            return issued.principal
        if token in self.tokens:
            return self.principal
        raise ApiError(self.invalid_status, self.invalid_status, "Invalid access token.")

    def add_token(self, token):
        """Accept a static token, also one that had expired."""
        self.expired.pop(token, None)
        self.tokens.add(token)

    def expire(self, tokens=(), status=None):
        """Let the given tokens, or every token that is good now, be refused as expired from now on."""
        status = status or self.expired_status
        if status not in EXPIRED_FORMS:
            raise ValueError(f"status of an expired token must be one of {', '.join(map(str, EXPIRED_FORMS))}")
        for token in list(tokens) or [*self.tokens, *self.issued]:
            self.expired.setdefault(token, status)

    def issue(self, authorization, content_type, body):
        """The answer of /oidc/v1/token as JSON bytes, or OAuthError."""
        if (content_type or "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise OAuthError(400, "invalid_request", "the body must be application/x-www-form-urlencoded")
        form = read_form(body)
        grants = {"client_credentials": self._grant_client, EXCHANGE_GRANT: self._grant_exchange}
        if form.get("grant_type") not in grants:
            raise OAuthError(400, "unsupported_grant_type", f"grant_type {form.get('grant_type')!r} is not supported")
        if form.get("scope") != "all-apis":
            raise OAuthError(400, "invalid_scope", "scope must be all-apis")
        principal, lifetime = grants[form["grant_type"]](form, authorization)
        token = "access-" + secrets.token_urlsafe(24)
        self.issued[token] = Issued(principal, self.clock() + lifetime)
        shown = str(lifetime) if self.expires_in_as_string else lifetime
        return json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": shown,
                           "scope": "all-apis"}).encode()

    def _grant_client(self, form, authorization):
        scheme, _, rest = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise OAuthError(401, "invalid_client", "client credentials must come in a Basic Authorization header")
        if "client_secret" in form or "client_id" in form:
            raise OAuthError(400, "invalid_request", "more than one way of client authentication")
        client, secret = (unquote_plus(half) for half in decode_basic(rest))  # RFC 6749 section 2.3.1
        if client not in self.clients or self.clients[client] != secret:
            raise OAuthError(401, "invalid_client", "Client authentication failed")
        return client, self.token_lifetime

    def _grant_exchange(self, form, authorization):
        if authorization:
            raise OAuthError(400, "invalid_request", "a token exchange carries no Authorization header")
        if form.get("subject_token_type") != JWT_TYPE:
            raise OAuthError(400, "invalid_request", f"subject_token_type must be {JWT_TYPE}")
        subject = form.get("subject_token", "")
        if subject not in self.federation or self.federation[subject] != form.get("client_id"):
            raise OAuthError(401, "invalid_grant", "no federation policy matches the subject token and client_id")
        expiry = read_jwt_expiry(subject)
        lifetime = self.token_lifetime if expiry is None else int(expiry - self.clock())
        if lifetime <= 0:
            raise OAuthError(401, "invalid_grant", "the subject token is expired")
        return form.get("client_id") or self.principal, lifetime


def expired_error(status):
    message, code = EXPIRED_FORMS[status]
    return ApiError(status, code, message)


def decode_basic(text):
    """(user, password) of a Basic credential; ("", "") when it is not one."""
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (user, password) if colon else ("", "")


def read_form(body):
    """The form's fields; one that is repeated or not ASCII is an error."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError as problem:
        raise OAuthError(400, "invalid_request", f"the form can not be read: {problem}") from None
    for name, values in fields.items():
        if len(values) != 1:
            raise OAuthError(400, "invalid_request", f"{name} is repeated")
    return {name: values[0] for name, values in fields.items()}


def read_jwt_expiry(token):
    """The exp claim of a JWT (not verified), or None where there is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(payload))
        return float(claims["exp"]) if "exp" in claims else None
    except (binascii.Error, ValueError, TypeError):
        return None
