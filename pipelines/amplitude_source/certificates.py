"""The certificates that connections trust, by the variables of the environment that name them."""

import os
import ssl
from pathlib import Path

# Each names a file of certificates. A library takes the first of its own that is set, and no other.
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # of requests
AWS_CERTIFICATE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")  # of botocore
NOT_READ = "SSL_CERT_FILE"  # what other tools read
# OpenSSL's numbers for what is wrong with a certificate.
WRONG_TIME = {9, 10}
WRONG_NAME = {62, 64}


def certificates_fault(variables: tuple[str, ...] = CERTIFICATE_VARIABLES) -> str | None:
    """Return what is wrong with the file of certificates that the environment names; None if nothing is.

    The libraries themselves do not name the variable.
    """
    name = certificate_variable(variables)
    if name is None:
        return None
    path = Path(os.environ[name]).absolute()
    if path.is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except FileNotFoundError:
        reason = "which does not exist"
    except ssl.SSLError:
        reason = "which holds no certificates in PEM"
    except OSError as error:
        reason = f"which cannot be read ({error.strerror})"
    else:
        return None
    return f"{name} names {path}, {reason}: name a PEM file of the certificates to trust, or leave {name} out."


def certificate_variable(variables: tuple[str, ...] = CERTIFICATE_VARIABLES) -> str | None:
    """Return the variable that names the file of certificates."""
    return next((name for name in variables if os.environ.get(name)), None)


def certificate_mend(error: ssl.SSLCertVerificationError, address_variable: str) -> str:
    """Return what the user can do about a certificate that is not accepted, as the rest of a sentence."""
    if error.verify_code in WRONG_TIME:
        return "check this machine's clock"
    if error.verify_code in WRONG_NAME:
        return f"check {address_variable}"
    if name := certificate_variable():
        return f"{name} names {os.environ[name]}: add the certificate of its signer to that file"
    note = f" ({NOT_READ} is not read)" if os.environ.get(NOT_READ) else ""
    return (
        f"if a proxy of your company signed it, set REQUESTS_CA_BUNDLE{note} to a PEM file with the company's "
        f"certificate, else check {address_variable}"
    )
