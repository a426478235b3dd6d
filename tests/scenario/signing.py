"""Services that sign in in every way there is: configuration, files, and a stand-in that takes them."""

import base64
import json
import os
from urllib.parse import quote_plus

from harness import JOB, JobsApi

SECRET = "client~secret&1234567890"
PASSWORD = "pass word 1234567890"
CLIENT, TENANT, USER = "0b1e4c1e-0000-4000-8000-00000000c11e", "7e4a4700-0000-4000-8000-000000007e4a", "user-1"


def jwt(number=1):
    def part(shape):
        return base64.urlsafe_b64encode(json.dumps(shape).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'RS256'})}.{part({'sub': 'me', 'n': number})}.c2lnbmF0dXJl{number}"


# kind -> (keys of [workspace], {file: content}, principal, path of the token endpoint); FOLDER and API are filled in.
KINDS = {
    "oauth-m2m": ({"client_id": CLIENT, "client_secret_file": "FOLDER/secret"}, {"secret": SECRET},
                  f"oauth-m2m:{CLIENT}", "/oidc/v1/token"),
    "azure-client-secret": ({"azure_tenant_id": TENANT, "client_id": CLIENT, "client_secret_file": "FOLDER/secret",
                             "azure_authority_host": "API"}, {"secret": SECRET}, f"azure-client-secret:{CLIENT}",
                            f"/{TENANT}/oauth2/v2.0/token"),
    "azure-managed-identity": ({"auth": "azure-managed-identity", "azure_metadata_host": "API"}, {},
                               "azure-managed-identity", "/metadata/identity/oauth2/token"),
    "oidc": ({"oidc_token_file": "FOLDER/jwt", "client_id": CLIENT}, {"jwt": jwt()}, f"oidc:{CLIENT}",
             "/oidc/v1/token"),
    "basic": ({"username": USER, "password_file": "FOLDER/password"}, {"password": PASSWORD}, f"basic:{USER}", None),
    "profile": ({"profile": "prod", "config_file": "FOLDER/cfg"},
                {"cfg": f"[DEFAULT]\ntoken = other\n\n[prod]\nhost = API/?o=1\nclient_id = {CLIENT}\n"
                        f"client_secret = '{SECRET}'\n"}, f"oauth-m2m:{CLIENT} (profile prod)", "/oidc/v1/token"),
    "profile-token": ({"profile": "p", "config_file": "FOLDER/cfg"}, {"cfg": "[p]\ntoken = stand-in-token\n"},
                      "token (profile p)", None),
}


def make_api(**options):
    return JobsApi({JOB: ["path"]}, clients={CLIENT: SECRET}, basic={USER: PASSWORD}, federation={jwt(): CLIENT},
                   principals={(TENANT, CLIENT): SECRET}, identities=[None], **options)


def put_secret(s, name, content):
    path = s.folder / "etc" / name
    temporary = path.with_name(f".{name}.new")
    temporary.touch(0o600)
    temporary.write_text(content + "\n")
    os.chmod(temporary, 0o600)
    os.rename(temporary, path)


def signing_in(make, kind, **options):
    """A service, not started, that signs in so."""
    s = make(api=make_api(), **options)
    keys, files, s.principal, s.token_path = KINDS[kind]
    for name, content in files.items():
        put_secret(s, name, content.replace("API", s.api.url))
    filled = {k: v.replace("FOLDER", str(s.folder / "etc")).replace("API", s.api.url) for k, v in keys.items()}
    s.sections["workspace"].update({"token_file": None, **filled})
    s.write_configuration()
    return s


def _basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def secret_words(s):
    """Everything that must not get out of a service of signing_in(), in each form in which it travels."""
    coded = quote_plus(SECRET, safe="*").replace("~", "%7E")
    return {SECRET, coded, _basic(CLIENT, coded), PASSWORD, _basic(USER, PASSWORD), jwt(), s.api.token,
            *s.api.auth.issued}
