//! The keys of the services: RS256 signers for tokens, the certificate by which a registry knows Docker's token service, and a
//! certificate for the services that speak https alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use serde_json::{Value, json};

/// An RS256 key with its key id. All keys of one process share one RSA pair of 2,048 bits, since making one takes long; they
/// differ by key id, and a token that was signed under one id is refused under another.
pub struct SigningKey {
    kid: &'static str,
}

struct Pair {
    signer: RsaKeyPair,
    key_id: String,
    certificate: String,
}

/// Made by `rsa`, since ring makes no RSA keys; used by ring, which is quick in a debug build too.
fn pair() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| {
        let private = rsa::RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).ok()?;
        let pkcs8 = private.to_pkcs8_der().ok()?;
        Some(Pair {
            signer: RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).ok()?,
            key_id: key_id(private.to_public_key().to_public_key_der().ok()?.as_bytes()),
            certificate: certificate(pkcs8.as_bytes()).ok()?,
        })
    })
    .as_ref()
}

/// The id by which a registry knows a key that it was not shown: the first 240 bits of the key's SHA-256, in base32, in groups
/// of four (libtrust; the registry's documentation of its token).
fn key_id(public_key: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest(&SHA256, public_key);
    let letters = hash.as_ref()[..30].chunks_exact(5).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |at| char::from(LETTERS[usize::from((bits >> (5 * at)).to_le_bytes()[0] % 32)]))
    });
    let mut id = String::new();
    for (at, letter) in letters.enumerate() {
        if at > 0 && at % 4 == 0 {
            id.push(':');
        }
        id.push(letter);
    }
    id
}

fn certificate(pkcs8: &[u8]) -> Result<String, rcgen::Error> {
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(pkcs8.to_vec());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private, &rcgen::PKCS_RSA_SHA256)?;
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "auth.docker.io");
    Ok(params.self_signed(&key)?.pem())
}

/// The certificate of Docker's token service, PEM: what a registry must be given to believe its tokens. Empty if the machine
/// could not make a key.
#[must_use]
pub fn registry_certificate() -> &'static str {
    pair().map_or("", |pair| &pair.certificate)
}

/// The key under which STS signs web identity tokens.
#[must_use]
pub fn sts() -> &'static SigningKey {
    &SigningKey { kid: "sandbox-sts" }
}

/// The key of Docker's token service, under the id by which a registry finds it among its certificates.
#[must_use]
pub fn registry() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey { kid: pair().map_or("", |pair| &pair.key_id) })
}

/// The key under which Entra signs access tokens.
#[must_use]
pub fn entra() -> &'static SigningKey {
    &SigningKey { kid: "sandbox-entra" }
}

/// The RS256 signature of a text, in base64. The same text always has the same signature (RFC 8017, section 8.2), so each is made
/// once: simulated runs on one clock sign the same tokens thousands of times, which was a fifth of their time.
fn signature(signed: &str) -> Option<String> {
    /// Of 400 bytes or so each.
    const KEPT: usize = 10_000;
    static MADE: Mutex<BTreeMap<Vec<u8>, String>> = Mutex::new(BTreeMap::new());
    let hash = digest(&SHA256, signed.as_bytes()).as_ref().to_vec();
    if let Some(known) = MADE.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
        return Some(known.clone());
    }
    let key = &pair()?.signer;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.len() >= KEPT {
        made.clear();
    }
    made.insert(hash, signature.clone());
    Some(signature)
}

impl SigningKey {
    /// The key id, as it stands in the header of a token.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.kid
    }

    /// A compact JWS (RFC 7515) over the claims: `alg` RS256, `typ` JWT, `kid`. Empty if the machine could not make a key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        signature(&signed).map_or_else(String::new, |signature| format!("{signed}.{signature}"))
    }

    /// The claims, if this key signed the token. Times are not looked at.
    #[must_use]
    pub fn verify(&self, jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header["alg"] != "RS256" || header["kid"] != self.kid {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair()?.signer.public_key().as_ref());
        key.verify(signed.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// A certificate authority and a certificate of it for `localhost` and `127.0.0.1`.
pub struct TlsIdentity {
    /// The server's certificate, PEM.
    pub certificate_pem: String,
    /// The authority's certificate, PEM: what a client must trust.
    pub authority_pem: String,
    server: Arc<rustls::ServerConfig>,
}

/// No certificate could be made.
#[derive(Debug)]
pub struct IdentityError(String);

impl std::fmt::Display for IdentityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no certificate for the sandbox: {}", self.0)
    }
}

impl std::error::Error for IdentityError {}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rustls::Error> for IdentityError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

impl TlsIdentity {
    /// Makes a new authority and a new certificate.
    ///
    /// # Errors
    /// [`IdentityError`] where the machine gives no random numbers.
    pub fn new() -> Result<Self, IdentityError> {
        let authority_key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "hubkeeper sandbox authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let authority = params.self_signed(&authority_key)?;
        let issuer = rcgen::Issuer::new(params, authority_key);

        let key = rcgen::KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), format!("*.{}", crate::proxy::DOMAIN)];
        let mut params = rcgen::CertificateParams::new(names)?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;

        let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut server =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone(), authority.der().clone()], private.into())?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { certificate_pem: certificate.pem(), authority_pem: authority.pem(), server: Arc::new(server) })
    }

    /// The server's side of TLS 1.2 and 1.3, HTTP/1.1 alone.
    #[must_use]
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_verified_by_its_own_key_alone() {
        let claims = json!({ "sub": "someone", "exp": 1 });
        let token = sts().sign(&claims);
        assert_eq!(sts().verify(&token), Some(claims));
        assert_eq!(entra().verify(&token), None);
        assert_eq!(registry().verify(&token), None);
        assert_eq!(sts().sign(&json!({ "sub": "someone", "exp": 1 })), token, "the same again");
        assert_ne!(sts().sign(&json!({ "sub": "someone", "exp": 2 })), token);
    }

    #[test]
    fn a_changed_token_is_refused() {
        let token = registry().sign(&json!({ "access": [] }));
        let parts: Vec<&str> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(json!({ "access": ["everything"] }).to_string());
        assert_eq!(registry().verify(&format!("{}.{claims}.{}", parts[0], parts[2])), None);
        let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "kid": registry().kid() }).to_string());
        assert_eq!(registry().verify(&format!("{none}.{}.", parts[1])), None);
        assert_eq!(registry().verify("not a token"), None);
    }

    #[test]
    fn a_registry_finds_the_key_among_its_certificates() {
        let groups: Vec<&str> = registry().kid().split(':').collect();
        assert_eq!(groups.len(), 12, "{groups:?}");
        assert!(groups.iter().all(|group| group.len() == 4), "{groups:?}");
        // as coreutils have it: printf hubkeeper | sha256sum | xxd -r -p | base32
        assert!(key_id(b"hubkeeper").starts_with("SCWE:CTPI:"), "{}", key_id(b"hubkeeper"));
        assert!(registry_certificate().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn an_identity_has_two_certificates() {
        let identity = TlsIdentity::new().expect("an identity");
        assert!(identity.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(identity.certificate_pem, identity.authority_pem);
    }
}
