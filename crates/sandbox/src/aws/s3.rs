//! S3 with the bucket in the path: buckets, objects with versions, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::query::escape;
use super::{Signed, denial, header};
use crate::world::{Request, Response, State};

/// A bucket of this account.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// Whether public access is blocked.
    pub public_access_blocked: bool,
    /// Whether versions are kept.
    pub versioned: bool,
    /// The versions of each object, oldest first: id and content.
    pub objects: BTreeMap<String, Vec<(String, Bytes)>>,
}

impl Bucket {
    /// The newest version of an object.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key).and_then(|versions| versions.last()).map(|(_, content)| content)
    }
}

/// An error: status, code.
type Refused = (u16, &'static str);

/// Whether a request is one to S3.
pub(super) fn is_addressed(request: &Request) -> bool {
    Signed::of(request).is_some_and(|signed| signed.service == "s3")
}

pub(super) fn handle(state: &mut State, request: &Request) -> Response {
    let (status, body) = match answer(state, request) {
        Ok(body) => (200, body),
        // a response to HEAD has no body
        Err((status, _)) if request.method() == http::Method::HEAD => (status, Bytes::new()),
        Err((status, code)) => {
            (status, Bytes::from(format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>")))
        }
    };
    http::Response::builder().status(status).body(body).unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn answer(state: &mut State, request: &Request) -> Result<Bytes, Refused> {
    let Some(signed) = Signed::of(request) else { return Err((403, "AccessDenied")) };
    if header(request, "x-amz-content-sha256") != hex(request.body()) {
        return Err((400, "XAmzContentSHA256Mismatch"));
    }
    let owner = header(request, "x-amz-expected-bucket-owner");
    if !owner.is_empty() && owner != state.aws.account {
        return Err((403, "AccessDenied"));
    }
    let is_here = signed.region == state.aws.region;
    let path = request.uri().path().trim_start_matches('/');
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let field = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let method = request.method().as_str();
    let action = match (method, key.is_empty()) {
        ("HEAD", true) => "s3:ListBucket",
        ("PUT", true) if field("publicAccessBlock").is_some() => "s3:PutBucketPublicAccessBlock",
        ("PUT", true) if field("versioning").is_some() => "s3:PutBucketVersioning",
        ("PUT", true) => "s3:CreateBucket",
        ("GET", true) if field("versions").is_some() => "s3:ListBucketVersions",
        ("PUT", false) => "s3:PutObject",
        ("GET", false) => "s3:GetObject",
        ("DELETE", true) => "s3:DeleteBucket",
        ("DELETE", false) => "s3:DeleteObjectVersion",
        _ => return Err((405, "MethodNotAllowed")),
    };
    if denial(state, action, Some(&format!("arn:aws:s3:::{name}"))).is_some()
        || state.aws.foreign_buckets.contains(name)
    {
        return Err((403, "AccessDenied"));
    }
    let body = request.body().clone();
    if action == "s3:CreateBucket" {
        let region = format!("<LocationConstraint>{}</LocationConstraint>", signed.region);
        if signed.region != "us-east-1" && !String::from_utf8_lossy(&body).contains(&region) {
            return Err((400, "IllegalLocationConstraintException"));
        }
        if state.aws.buckets.contains_key(name) {
            return Err((409, "BucketAlreadyOwnedByYou"));
        }
        state.aws.buckets.insert(name.to_owned(), Bucket::default());
        return Ok(Bytes::new());
    }
    if action == "s3:DeleteBucket" {
        return match state.aws.buckets.get(name) {
            None => Err((404, "NoSuchBucket")),
            Some(_) if !is_here => Err((301, "PermanentRedirect")),
            Some(bucket) if !bucket.objects.is_empty() => Err((409, "BucketNotEmpty")),
            Some(_) => {
                state.aws.buckets.remove(name);
                Ok(Bytes::new())
            }
        };
    }
    let version = state.uuid();
    let Some(bucket) = state.aws.buckets.get_mut(name) else { return Err((404, "NoSuchBucket")) };
    if !is_here {
        return Err((301, "PermanentRedirect"));
    }
    if matches!(action, "s3:PutBucketPublicAccessBlock" | "s3:PutBucketVersioning")
        && header(request, "x-amz-checksum-sha256").is_empty()
    {
        return Err((400, "InvalidRequest"));
    }
    let text = String::from_utf8_lossy(&body);
    match action {
        "s3:PutBucketPublicAccessBlock" => bucket.public_access_blocked = text.matches(">true<").count() == 4,
        "s3:PutBucketVersioning" => bucket.versioned = text.contains("<Status>Enabled</Status>"),
        "s3:PutObject" => {
            let versions = bucket.objects.entry(key.to_owned()).or_default();
            if !bucket.versioned {
                versions.clear();
            }
            versions.push((version, body));
        }
        "s3:GetObject" => return bucket.object(key).cloned().ok_or((404, "NoSuchKey")),
        "s3:ListBucketVersions" => {
            let prefix = field("prefix").unwrap_or_default();
            let listed =
                bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix)).flat_map(|(key, versions)| {
                    versions.iter().map(move |(version, _)| {
                        format!("<Version><Key>{}</Key><VersionId>{version}</VersionId></Version>", escape(key))
                    })
                });
            let listed: String = listed.collect();
            return Ok(Bytes::from(format!("<ListVersionsResult>{listed}</ListVersionsResult>")));
        }
        "s3:DeleteObjectVersion" => {
            let wanted = field("versionId").unwrap_or_default();
            if let Some(versions) = bucket.objects.get_mut(key) {
                versions.retain(|(version, _)| version != wanted);
                if versions.is_empty() {
                    bucket.objects.remove(key);
                }
            }
        }
        _ => {}
    }
    Ok(Bytes::new())
}
