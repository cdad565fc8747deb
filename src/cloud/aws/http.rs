//! The HTTP client: which certificates are trusted, which requests go through a proxy, and what endpoints can be.

use std::io::Read as _;
use std::path::Path;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use axum::http::Uri;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Certificates of one's own, as in all tools of AWS: they are trusted instead of the system's.
const BUNDLE: &str = "AWS_CA_BUNDLE";
/// What redirects requests; each must be a URL.
const ENDPOINTS: [&str; 4] =
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS"];
/// Where instance metadata is, if not at its usual address.
const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// What begins the addresses of instance metadata, and of a container's credentials (EC2, ECS and EKS user guides): they
/// are of this machine alone.
const OF_THIS_MACHINE: [&str; 2] = ["169.254.", "[fd00:ec2::"];
/// All authorities of a system are a quarter of a megabyte.
const BUNDLE_MAX: u64 = 16 << 20;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The client, by the environment `env`, and a warning where it can do less than it should.
///
/// # Errors
/// Why none can be made, in one line.
pub(super) fn client(env: impl Fn(&str) -> Option<String>) -> Result<(SharedHttpClient, Option<String>), String> {
    let set = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let ignored = set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|word| word.eq_ignore_ascii_case("true"));
    let mut plain = false;
    for name in ENDPOINTS {
        if let Some(url) = set(name).filter(|_| !ignored) {
            plain |= endpoint(name, &url)?.scheme_str() == Some("http");
        }
    }
    let (trust, warning) = trust(set(BUNDLE).as_deref(), plain)?;
    let metadata = set(METADATA).and_then(|url| Some(url.parse::<Uri>().ok()?.authority()?.to_string()));
    Ok((split(&trust, metadata), warning))
}

/// The URL that `name` holds.
fn endpoint(name: &str, url: &str) -> Result<Uri, String> {
    let parsed = url.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    parsed.ok_or_else(|| {
        let shown: String = url.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect();
        format!("{name} is `{shown}`, which is no URL: write https://HOST or https://HOST:PORT, or unset it")
    })
}

/// Which certificates are trusted.
fn trust(bundle: Option<&str>, plain: bool) -> Result<(TlsContext, Option<String>), String> {
    let context = |store| TlsContext::builder().with_trust_store(store).build().map_err(|e| e.to_string());
    if let Some(path) = bundle {
        let mut store = TrustStore::empty();
        for certificate in certificates(Path::new(path))? {
            store.add_pem_certificate(certificate);
        }
        return Ok((context(store)?, None));
    }
    let found = rustls_native_certs::load_native_certs();
    if RootCertStore::empty().add_parsable_certificates(found.certs).0 > 0 {
        return Ok((context(TrustStore::default())?, None));
    }
    let what = "no CA certificates were found on this machine: install the package ca-certificates, or set AWS_CA_BUNDLE to \
                a file of certificates (PEM)";
    if plain {
        return Ok((context(TrustStore::empty())?, Some(format!("{what}; only http:// endpoints can be reached"))));
    }
    Err(format!("{what}; without them nothing of AWS can be reached"))
}

/// A file, and only a file: a pipe or a device may never end.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let no_file = |what: &str| Err(std::io::Error::other(what.to_owned()));
    if !std::fs::metadata(path)?.is_file() {
        return no_file("it is no file");
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(BUNDLE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BUNDLE_MAX { no_file("it is too large for certificates") } else { Ok(bytes) }
}

/// The certificates of a file, each as PEM; those that are no certificates after all are left out.
fn certificates(path: &Path) -> Result<Vec<String>, String> {
    let shown = path.display();
    let text = read(path).map_err(|e| format!("cannot read {BUNDLE}, {shown}: {e}"))?;
    let text = String::from_utf8_lossy(&text);
    let blocks =
        text.split(BEGIN).skip(1).filter_map(|rest| Some(format!("{BEGIN}{}{END}\n", rest.split_once(END)?.0)));
    let good = |pem: &String| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        der.is_ok_and(|der| RootCertStore::empty().add(der).is_ok())
    };
    let found: Vec<String> = blocks.filter(good).collect();
    if found.is_empty() {
        return Err(format!("{BUNDLE}, {shown}, holds no certificate that can be used: it must be PEM (`{BEGIN}`)"));
    }
    Ok(found)
}

/// Whatever is of this machine alone is asked directly, all else as the environment's proxies say.
fn split(trust: &TlsContext, metadata: Option<String>) -> SharedHttpClient {
    let made = |proxy: fn() -> ProxyConfig| {
        let trust = trust.clone();
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut builder = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
            builder.set_connector_settings(settings.cloned());
            builder.set_tls_context(trust.clone());
            if let Some(components) = components {
                builder.set_sleep_impl(components.sleep_impl());
            }
            builder.set_proxy_config(Some(proxy()));
            builder.build()
        })
    };
    let (proxied, direct) = (made(ProxyConfig::from_env), made(ProxyConfig::disabled));
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Split {
            proxied: proxied.http_connector(settings, components),
            direct: direct.http_connector(settings, components),
            metadata: metadata.clone(),
        })
    })
}

#[derive(Debug)]
struct Split {
    proxied: SharedHttpConnector,
    direct: SharedHttpConnector,
    /// Host and port of the metadata service that the environment names.
    metadata: Option<String>,
}

impl HttpConnector for Split {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let here = of_this_machine(request.uri(), self.metadata.as_deref());
        if here { self.direct.call(request) } else { self.proxied.call(request) }
    }
}

fn of_this_machine(uri: &str, metadata: Option<&str>) -> bool {
    let Some((_, rest)) = uri.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    metadata == Some(authority)
        || OF_THIS_MACHINE.iter().any(|begins| authority.to_ascii_lowercase().starts_with(begins))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
