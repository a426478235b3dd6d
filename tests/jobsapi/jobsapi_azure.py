"""Who hands out tokens for Azure Databricks: Microsoft Entra, and the metadata service of a virtual machine.

Answers as the services give them: Entra's error words with their AADSTS number; the metadata service's numbers as
strings, and the same token again until it is near its end. The tokens are accepted by the Credentials given.
"""

import json
import re
import secrets

from jobsapi_auth import Issued, OAuthError, read_form

RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTRA_PATH = re.compile(r"/([^/]+)/oauth2/v2\.0/token")
METADATA_PATH = "/metadata/identity/oauth2/token"
METADATA_VERSION = "2018-02-01"


class EntraError(OAuthError):
    """An answer of Entra: the description begins with a number of its own."""

    def __init__(self, status, error, number, description):
        super().__init__(status, error, f"AADSTS{number}: {description} Trace ID: 0 Correlation ID: 0")
        self.number = number

    def body(self):
        return json.dumps({"error": self.error, "error_description": self.description, "error_codes": [self.number],
                           "timestamp": "2026-01-01 00:00:00Z", "trace_id": "0", "correlation_id": "0"}).encode()


class Azure:
    """All fields may be changed while the server runs; its caller serialises.

    principals       (tenant, client_id) -> client_secret
    identities       client ids of the virtual machine's managed identities; None: it has one of its own
    token_lifetime   seconds
    """

    def __init__(self, credentials, principals=None, identities=()):
        self.credentials = credentials
        self.principals = dict(principals or {})
        self.identities = set(identities)
        self.token_lifetime = 3599
        self._kept = {}  # client id -> (token, when it ends) of the metadata service

    def _issue(self, principal):
        token = "eyJ." + secrets.token_urlsafe(24) + ".sig"
        self.credentials.issued[token] = Issued(principal, self.credentials.clock() + self.token_lifetime)
        return token

    def answer_entra(self, tenant, headers, body):
        """The answer of POST /TENANT/oauth2/v2.0/token as JSON bytes, or EntraError."""
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise EntraError(400, "invalid_request", 900144, "The request body must be a form.")
        if "authorization" in headers:
            raise EntraError(400, "invalid_request", 900023, "The secret is expected in the form.")
        form = read_form(body)
        if form.get("grant_type") != "client_credentials":
            raise EntraError(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("scope") != f"{RESOURCE}/.default":
            raise EntraError(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        if tenant not in {known for known, _ in self.principals}:
            raise EntraError(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        client = form.get("client_id")
        if (tenant, client) not in self.principals:
            raise EntraError(400, "unauthorized_client", 700016, f"Application '{client}' was not found.")
        if form.get("client_secret") != self.principals[tenant, client]:
            raise EntraError(401, "invalid_client", 7000215, "Invalid client secret provided.")
        return json.dumps({"token_type": "Bearer", "expires_in": self.token_lifetime,
                           "ext_expires_in": self.token_lifetime, "access_token": self._issue(client)}).encode()

    def answer_metadata(self, headers, query):
        """The answer of GET /metadata/identity/oauth2/token as JSON bytes, or OAuthError."""
        if headers.get("metadata") != "true" or "x-forwarded-for" in headers or "authorization" in headers:
            raise OAuthError(400, "invalid_request", "Required metadata header not specified")
        if query.get("api-version") != [METADATA_VERSION]:
            raise OAuthError(400, "invalid_request", "Invalid api-version")
        if query.get("resource") != [RESOURCE]:
            raise OAuthError(400, "invalid_resource", "AADSTS500011: The resource principal was not found.")
        client = query.get("client_id", [None])[0]
        if client not in self.identities:
            raise OAuthError(400, "invalid_request", "Identity not found")
        now = self.credentials.clock()
        token, end = self._kept.get(client, (None, 0))
        if end - now < self.token_lifetime / 2:
            token, end = self._issue(client or "the machine"), now + self.token_lifetime
            self._kept[client] = token, end
        return json.dumps({"access_token": token, "client_id": client or "0", "expires_in": str(int(end - now)),
                           "expires_on": str(int(end)), "ext_expires_in": str(int(end - now)),
                           "not_before": str(int(now)), "resource": RESOURCE, "token_type": "Bearer"}).encode()
