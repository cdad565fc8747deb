"""An STS over TLS on 127.0.0.1, under a certificate authority of its own: GetCallerIdentity, and nothing else.

Usage: tls_sts.py DIRECTORY ACCOUNT. Writes DIRECTORY/ca.pem and DIRECTORY/other.pem (an authority that signed nothing),
then its port to DIRECTORY/port, and serves until its standard input ends.
"""

import datetime
import http.server
import ipaddress
import pathlib
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DIRECTORY, ACCOUNT = pathlib.Path(sys.argv[1]), sys.argv[2]
NOW = datetime.datetime.now(datetime.timezone.utc)


def certificate(name, key, issuer, issuer_key, authority):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = made.add_extension(here, critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def pem(thing):
    return thing.public_bytes(serialization.Encoding.PEM)


def authority(name):
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate(name, key, None, key, True), key


class Sts(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = (
            '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
            f"<Arn>arn:aws:iam::{ACCOUNT}:user/it</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account>"
            "</GetCallerIdentityResult></GetCallerIdentityResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ca, ca_key = authority("stillframe tests")
key = ec.generate_private_key(ec.SECP256R1())
leaf = certificate("127.0.0.1", key, ca, ca_key, False)
(DIRECTORY / "ca.pem").write_bytes(pem(ca))
(DIRECTORY / "other.pem").write_bytes(pem(authority("nobody")[0]))
secret = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
(DIRECTORY / "leaf.pem").write_bytes(pem(leaf) + secret)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(DIRECTORY / "leaf.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
half = DIRECTORY / "port.new"
half.write_text(str(server.server_address[1]))
half.rename(DIRECTORY / "port")
sys.stdin.read()
